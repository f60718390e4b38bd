/** How is memory saved, and what happens when a clip does not fit? A plan before, frames and layers in pieces, and an error that says what would fit. */
import { exportToVideo, loadImage, StableVideoDiffusionPipeline, StillmotionError } from "stillmotion";
import { imagePath, model, settings } from "./arguments.ts";

// Only the network at work is in memory, which is the default: a server would rather have `offload: "none"`.
await using pipe = await StableVideoDiffusionPipeline.fromPretrained(model, {
  offload: "model",
  onProgress: ({ stage, state }) => {
    if (state !== "running") console.log(`${stage}: ${state}`);
  },
});
const image = await loadImage(imagePath);

const { stages, seconds } = await pipe.plan(image, settings);
for (const { stage, peakBytes } of stages) console.log(`${stage}: about ${Math.round(peakBytes / 1e6)} MB`);
console.log(`about ${seconds.toFixed(0)} s`);

try {
  await pipe.generate(image, { ...settings, width: 8192, height: 8192, numFrames: 96 });
} catch (error) {
  if (!(error instanceof StillmotionError && error.code === "out-of-memory")) throw error;
  console.log(error.message);
}

// Decoding two frames at a time takes less memory; the picture is that of decoding all at once. { maxMemory: "8GB" } chooses
// their number so that the process holds no more.
const { frames } = await pipe.generate(image, { seed: 42, chunkFeedForward: 4, decodeChunkSize: 2, ...settings });
await exportToVideo(frames[0]!, "generated.mp4");
