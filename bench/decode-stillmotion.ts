/**
 * How long do we take to decode a clip? A program of its own, so that each measurement starts from a fresh process:
 * node bench/decode-stillmotion.ts CHECKPOINT INPUTS OUTPUT --threads N --runs N --dtype fp32 --window N
 *
 * Prints a `Measurement` and writes the frames of the last run to OUTPUT. The decoder is loaded in each run, as in a clip.
 */
import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { openDevice } from "../src/node/devices/device-table.ts";
import { openScratchSpace } from "../src/node/scratch.ts";
import { openCheckpoint } from "../src/node/weights.ts";
import { decodeLatents } from "../src/pipeline/decode.ts";
import { readNetworks } from "../src/pipeline/networks.ts";
import type { StageContext } from "../src/pipeline/run-stage.ts";
import { createSessions } from "../src/pipeline/sessions.ts";
import { describeDecoder } from "../src/pipeline/stages.ts";
import { type FloatTensor, floatTensor } from "../src/tensor.ts";
import { decodeSafetensors, encodeSafetensors } from "../src/weights/safetensors/safetensors.ts";
import { commonOptions, printMeasurement, startStopwatch } from "./self-measurement.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { ...commonOptions, window: { type: "string" } },
});
const [checkpoint, inputsFile, outputFile] = positionals as [string, string, string];

const stopwatch = startStopwatch();
const { engine, lowerings } = await openDevice({ threads: Number(values.threads) });
const networks = readNetworks(await openCheckpoint(checkpoint), lowerings, lowerings.unet[0]!);
const { latents } = decodeSafetensors(await readFile(inputsFile), inputsFile).tensors as { latents: FloatTensor };
const clip = floatTensor([1, ...latents.shape], latents.data); // (1, frames, 4, height, width)
const context: StageContext = {
  engine,
  scratch: openScratchSpace(),
  sessions: createSessions(engine, "model"),
  onProgress: () => {},
  signal: undefined,
};
const loadSeconds = stopwatch.elapsed();

const [numFrames, , height, width] = latents.shape as [number, number, number, number];
const size = { numFrames, height: height * networks.vae.scale, width: width * networks.vae.scale };
const settings = { ...size, decodeChunkSize: Number(values.window), decodeMode: "exact" } as const;
const stage = describeDecoder(networks, settings, { clips: 1, offload: "model" });
const decode = () => decodeLatents(context, stage, networks, clip);
let [frames] = await decode();
const warmUpSeconds = stopwatch.elapsed() - loadSeconds;
for (let run = 0; run < Number(values.runs); run++) [frames] = await stopwatch.run(decode);

await writeFile(outputFile, encodeSafetensors({ frames: frames! }));
printMeasurement(stopwatch, { loadSeconds, warmUpSeconds });
await engine.dispose();
