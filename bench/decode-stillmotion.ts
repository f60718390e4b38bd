/**
 * How long do we take to decode a clip? A program of its own, so that each measurement starts from a fresh process:
 * node bench/decode-stillmotion.ts CHECKPOINT INPUTS OUTPUT --threads N --runs N --dtype fp32 --window N
 *
 * Prints a `Measurement` and writes the frames of the last run to OUTPUT. The decoder is loaded in each run, as in a clip.
 */
import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { createNodeEngine } from "../src/engine/ort/ort-engine.ts";
import { createCpuFp32Lowering } from "../src/lowering/cpu/fp32.ts";
import { decodeLatents } from "../src/pipeline/decode.ts";
import { readNetworks } from "../src/pipeline/networks.ts";
import { createSessions } from "../src/pipeline/sessions.ts";
import type { StageContext } from "../src/pipeline/stages.ts";
import { type FloatTensor, floatTensor } from "../src/tensor.ts";
import { openCheckpoint } from "../src/weights/checkpoint/checkpoint.ts";
import { decodeSafetensors, encodeSafetensors } from "../src/weights/safetensors/safetensors.ts";
import { commonOptions, printMeasurement, startStopwatch } from "./self-measurement.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { ...commonOptions, window: { type: "string" } },
});
const [checkpoint, inputsFile, outputFile] = positionals as [string, string, string];

const stopwatch = startStopwatch();
const networks = readNetworks(await openCheckpoint(checkpoint), createCpuFp32Lowering);
const { latents } = decodeSafetensors(await readFile(inputsFile), inputsFile).tensors as { latents: FloatTensor };
const clip = floatTensor([1, ...latents.shape], latents.data); // (1, frames, 4, height, width)
const engine = await createNodeEngine({ threads: Number(values.threads) });
const context: StageContext = {
  engine,
  sessions: createSessions(engine, "model"),
  onProgress: () => {},
  signal: undefined,
};
const loadSeconds = stopwatch.elapsed();

const settings = { decodeChunkSize: Number(values.window), decodeMode: "exact" } as const;
const decode = () => decodeLatents(context, networks, clip, settings);
let [frames] = await decode();
const warmUpSeconds = stopwatch.elapsed() - loadSeconds;
for (let run = 0; run < Number(values.runs); run++) [frames] = await stopwatch.run(decode);

await writeFile(outputFile, encodeSafetensors({ frames: frames! }));
printMeasurement(stopwatch, { loadSeconds, warmUpSeconds });
await engine.dispose();
