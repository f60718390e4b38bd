/**
 * What does a call of the pipeline do when memory runs out in its middle? A program of its own:
 * node test/pipeline/run-out-of-memory.ts WINDOW FOLDER. Prints how the limited call ended, what it left in FOLDER, and how
 * the same call ends without the limit.
 */
import { readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { createImage } from "../../src/image/image.ts";
import { StableVideoDiffusionPipeline } from "../../src/node/stable-video-diffusion.ts";
import { limitMemory } from "../support/limit-memory.ts";

const [window, scratchFolder] = process.argv.slice(2) as [string, string];
const checkpoint = join(import.meta.dirname, "..", "..", "models", "tiny");
const picture = createImage(8, 8, new Uint8Array(8 * 8 * 3));
const options = {
  numFrames: 8,
  width: 192,
  height: 128,
  numInferenceSteps: 1,
  decodeChunkSize: Number(window),
  seed: 1,
};

let isLimited = true;
await using pipe = await StableVideoDiffusionPipeline.fromPretrained(checkpoint, {
  threads: 2,
  scratchFolder,
  onProgress({ stage, state }) {
    // Before its session takes the memory that runs share.
    if (!isLimited || stage !== "vae decoder" || state !== "loading") return;
    isLimited = false;
    limitMemory(100e6);
  },
});
const generate = async () => {
  const { frames } = await pipe.generate(picture, options);
  return { frames: frames[0]!.length };
};
const limited = await generate().catch(({ code, message }) => ({ code, message }));
limitMemory(undefined);
const left = [...readdirSync(scratchFolder), ...openFiles().filter((file) => file.startsWith(scratchFolder))];
process.stdout.write(JSON.stringify({ limited, left, again: await generate() }));

/** Files without a name are in this list too. */
function openFiles(): string[] {
  return readdirSync("/proc/self/fd").flatMap((file) => {
    try {
      return readlinkSync(`/proc/self/fd/${file}`);
    } catch {
      return [];
    }
  });
}
