/** How does a caller follow a run, look into it and end it? With onProgress, onStep and an AbortSignal. */
import { loadImage, StableVideoDiffusionPipeline, StillmotionError } from "stillmotion";
import { imagePath, model, settings } from "./arguments.ts";

await using pipe = await StableVideoDiffusionPipeline.fromPretrained(model, {
  onProgress: ({ stage, state, done, total }) => console.log(stage, state, done ?? "", total ?? ""),
});
const image = await loadImage(imagePath);

// What onStep returns takes the place of the latents; here nothing, so the run goes on as it was.
const { latents } = await pipe.generate(image, {
  seed: 42,
  ...settings,
  outputType: "latents",
  onStep: ({ step, steps, sigma, latents }) => {
    const largest = latents.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    console.log(`step ${step} of ${steps} from sigma ${sigma.toFixed(3)}: latents up to ${largest.toFixed(1)}`);
  },
});
console.log("latents", latents.shape.join(" x "));

const controller = new AbortController();
try {
  await pipe.generate(image, { ...settings, signal: controller.signal, onStep: () => controller.abort() });
} catch (error) {
  if (!(error instanceof StillmotionError && error.code === "aborted")) throw error;
  console.log("aborted; the pipeline can be used again");
}
