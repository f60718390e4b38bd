/** How are several pictures and several clips of each made in one call? A seed for each clip, and clips in the pictures' order. */
import { exportToVideo, loadImage, resizeImage, StableVideoDiffusionPipeline } from "stillmotion";
import { imagePath, model, settings } from "./arguments.ts";

await using pipe = await StableVideoDiffusionPipeline.fromPretrained(model);
const image = await loadImage(imagePath);
const upperHalf = { left: 0, top: 0, right: image.width, bottom: Math.floor(image.height / 2) };
const closer = resizeImage(image, { width: image.width, height: image.height, box: upperHalf });

const { frames } = await pipe.generate([image, closer], {
  numVideosPerPrompt: 2,
  seed: [1, 2, 3, 4], // clips 1 and 2 are of the first picture
  ...settings,
});
for (const [clip, pictures] of frames.entries()) {
  const [path] = await exportToVideo(pictures, `clip-${clip + 1}.mp4`);
  console.log(path);
}
