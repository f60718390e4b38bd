/** Which files can a clip become, and what do they say of themselves? The extension picks the format; settings travel along. */
import {
  createImage,
  exportToVideo,
  type FloatTensor,
  type Image,
  loadImage,
  readClipMetadata,
  StableVideoDiffusionPipeline,
} from "stillmotion";
import { imagePath, model, settings } from "./arguments.ts";

await using pipe = await StableVideoDiffusionPipeline.fromPretrained(model);
const result = await pipe.generate(await loadImage(imagePath), { seed: 42, ...settings, outputType: "floats" });
const [floatFrames] = result.frames;
const clip = { frames: pictures(floatFrames!), floatFrames: floatFrames!, latents: result.latents };

for (const path of ["clip.mp4", "clip.gif", "clip.webp", "clip.png", "clip.safetensors"]) {
  await exportToVideo(clip, path, { fps: result.settings.fps, metadata: result.settings });
  const { format, width, height, frames, fps, settings: stored } = await readClipMetadata(path);
  console.log(`${path}: ${format}, ${frames} frames of ${width}x${height} at ${fps}, seed ${stored?.seed}`);
}

/** (frames, height, width, 3) in [0, 1] as 8-bit pictures. */
function pictures({ shape, data }: FloatTensor): Image[] {
  const [count, height, width] = shape as [number, number, number];
  const size = height * width * 3;
  return Array.from({ length: count }, (_, frame) =>
    createImage(
      width,
      height,
      Uint8Array.from(data.subarray(frame * size, (frame + 1) * size), (value) => Math.round(value * 255)),
    ),
  );
}
