/**
 * How long does one evaluation of our UNet take? A program of its own, so that each measurement starts from a fresh process:
 * node bench/unet-stillmotion.ts CHECKPOINT INPUTS OUTPUT --threads N --runs N --dtype fp32
 *
 * Prints a `Measurement` and writes the result of the last run to OUTPUT.
 */
import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { createNodeEngine } from "../src/engine/ort/ort-engine.ts";
import { type Dtype, lowering, resolveDtype, resolveWeightStorage, unetLowering } from "../src/lowering/cpu/dtypes.ts";
import type { WeightStorage } from "../src/lowering/cpu/parameter.ts";
import { withUnets } from "../src/pipeline/evaluate-unet.ts";
import { readNetworks } from "../src/pipeline/networks.ts";
import { createSessions } from "../src/pipeline/sessions.ts";
import { openCheckpoint } from "../src/weights/checkpoint/checkpoint.ts";
import { decodeSafetensors, encodeSafetensors } from "../src/weights/safetensors/safetensors.ts";
import { commonOptions, printMeasurement, startStopwatch } from "./self-measurement.ts";

const { positionals, values } = parseArgs({ allowPositionals: true, options: commonOptions });
const [checkpoint, inputsFile, outputFile] = positionals as [string, string, string];

const stopwatch = startStopwatch();
const opened = await openCheckpoint(checkpoint);
const { tensors } = decodeSafetensors(await readFile(inputsFile), inputsFile);
const [frames, , height, width] = tensors.latents!.shape as [number, number, number, number];
const dtype = resolveDtype(values.dtype as Dtype);
const storage = resolveWeightStorage(values["weight-storage"] as WeightStorage | undefined, dtype);
const { write } = readNetworks(opened, lowering, unetLowering(dtype, storage));
const engine = await createNodeEngine({ threads: Number(values.threads) });
const { image_embedding, ...others } = tensors;
const once = await engine.load(write.conditioning({ frames }).model);
const { conditioning } = await once.run({ image_embedding: image_embedding! });
await once.release();
const inputs = { ...others, conditioning: conditioning! };
const context = { engine, sessions: createSessions(engine, "model"), onProgress: () => {}, signal: undefined };
await withUnets(context, [write.unet({ frames, height, width })], async ([session]) => {
  const loadSeconds = stopwatch.elapsed();
  const evaluate = () => session!.run(inputs, { part: "one evaluation" });
  let result = await evaluate();
  const warmUpSeconds = stopwatch.elapsed() - loadSeconds;
  for (let run = 0; run < Number(values.runs); run++) result = await stopwatch.run(evaluate);
  await writeFile(outputFile, encodeSafetensors({ sample: result.sample! }));
  printMeasurement(stopwatch, { loadSeconds, warmUpSeconds });
});
await engine.dispose();
