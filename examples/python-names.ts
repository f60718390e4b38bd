/** What if the options come from a Python program? Its names and its words for the output are taken as they are. */
import { exportToVideo, type GenerateOptions, loadImage, StableVideoDiffusionPipeline } from "stillmotion";
import { imagePath, model, settings } from "./arguments.ts";

await using pipe = await StableVideoDiffusionPipeline.fromPretrained(model);
const options: GenerateOptions = {
  num_inference_steps: 25,
  min_guidance_scale: 1.0,
  max_guidance_scale: 3.0,
  motion_bucket_id: 127,
  noise_aug_strength: 0.02,
  decode_chunk_size: 8,
  output_type: "pil",
  seed: 42, // torch.manual_seed(42)
  noise_dtype: "fp16", // the pipeline was loaded with torch_dtype=torch.float16
};
const inPythonNames = Object.fromEntries(
  Object.entries(settings).map(([name, value]) => [name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`), value]),
);
const { frames } = await pipe.generate(await loadImage(imagePath), { ...options, ...inPythonNames });
await exportToVideo(frames[0]!, "generated.mp4", { fps: 7 });
