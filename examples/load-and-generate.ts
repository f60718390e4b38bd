/** How does the guide's first program look here? Load, resize, generate with a seed, export. */
import { exportToVideo, loadImage, resizeImage, StableVideoDiffusionPipeline } from "stillmotion";
import { imagePath, model, settings } from "./arguments.ts";

// A second argument of { variant: "fp16" } reads the *.fp16.safetensors of the published checkpoints.
const pipe = await StableVideoDiffusionPipeline.fromPretrained(model);

const { width, height } = pipe.settingsFor(settings);
const image = resizeImage(await loadImage(imagePath), { width, height }); // bicubic, as image.resize((1024, 576))

const { frames } = await pipe.generate(image, { seed: 42, decodeChunkSize: 8, ...settings });
const [path] = await exportToVideo(frames[0]!, "generated.mp4", { fps: 7 });
console.log(path);

await pipe.dispose();
