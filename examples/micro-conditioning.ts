/** How is the motion steered? By the frame rate, the motion bucket and the noise on the picture that the network is told of. */
import { exportToVideo, loadImage, StableVideoDiffusionPipeline } from "stillmotion";
import { imagePath, model, settings } from "./arguments.ts";

await using pipe = await StableVideoDiffusionPipeline.fromPretrained(model);
const image = await loadImage(imagePath);

const calm = { motionBucketId: 40, noiseAugStrength: 0 };
const lively = { motionBucketId: 180, noiseAugStrength: 0.1 };
for (const [name, motion] of Object.entries({ calm, lively })) {
  const { frames } = await pipe.generate(image, { fps: 7, seed: 42, ...motion, ...settings });
  const [path] = await exportToVideo(frames[0]!, `${name}.mp4`, { fps: 7 });
  console.log(path);
}
