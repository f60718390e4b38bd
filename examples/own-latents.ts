/** How does a run start from noise of one's own, at noise levels of one's own? With latents and sigmas. */
import { exportToVideo, type FloatTensor, loadImage, StableVideoDiffusionPipeline } from "stillmotion";
import { imagePath, model, settings } from "./arguments.ts";

await using pipe = await StableVideoDiffusionPipeline.fromPretrained(model);
const image = await loadImage(imagePath);
const options = { ...settings, seed: 42, sigmas: [700, 54.5, 1.789, 0], numInferenceSteps: undefined };

// The shape that a run works in: (clips, frames, channels, height, width). Values are drawn with a variance of 1.
const { latents } = await pipe.generate(image, { ...options, outputType: "latents" });
const noise: FloatTensor = { dtype: "float32", shape: latents.shape, data: normals(latents.data.length) };

const { frames } = await pipe.generate(image, { ...options, latents: noise });
await exportToVideo(frames[0]!, "generated.mp4");

/** Normal values by Box and Muller's method. */
function normals(count: number): Float32Array {
  return Float32Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
    return radius * Math.cos(2 * Math.PI * Math.random());
  });
}
