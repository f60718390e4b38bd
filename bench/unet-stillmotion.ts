/**
 * How long does one evaluation of our UNet take? A program of its own, so that each measurement starts from a fresh process:
 * node bench/unet-stillmotion.ts CHECKPOINT INPUTS OUTPUT --threads N --runs N --dtype fp32
 *
 * Prints a `Measurement` and writes the result of the last run to OUTPUT.
 */
import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { openDevice } from "../src/node/devices/device-table.ts";
import { openScratchSpace } from "../src/node/scratch.ts";
import { openCheckpoint } from "../src/node/weights.ts";
import { chooseUnetLowering } from "../src/options/choose-lowering.ts";
import type { FromPretrainedOptions } from "../src/options/load-options.ts";
import { readNetworks } from "../src/pipeline/networks.ts";
import { withStage } from "../src/pipeline/run-stage.ts";
import { createSessions } from "../src/pipeline/sessions.ts";
import { describeUnet } from "../src/pipeline/stages.ts";
import { decodeSafetensors, encodeSafetensors } from "../src/weights/safetensors/safetensors.ts";
import { commonOptions, printMeasurement, startStopwatch } from "./self-measurement.ts";

const { positionals, values } = parseArgs({ allowPositionals: true, options: commonOptions });
const [checkpoint, inputsFile, outputFile] = positionals as [string, string, string];

const stopwatch = startStopwatch();
const opened = await openCheckpoint(checkpoint);
const { tensors } = decodeSafetensors(await readFile(inputsFile), inputsFile);
const [frames, , height, width] = tensors.latents!.shape as [number, number, number, number];
const { engine, lowerings } = await openDevice({ threads: Number(values.threads) });
const asked = { dtype: values.dtype, weightStorage: values["weight-storage"] } as FromPretrainedOptions;
const networks = readNetworks(opened, lowerings, chooseUnetLowering(lowerings, asked));
const { write, vae } = networks;
const { image_embedding, ...others } = tensors;
const once = await engine.load(write.conditioning({ frames }).model);
const { conditioning } = await once.run({ image_embedding: image_embedding! });
await once.release();
const inputs = { ...others, conditioning: conditioning! };
const context = {
  engine,
  scratch: openScratchSpace(),
  sessions: createSessions(engine, "model"),
  onProgress: () => {},
  signal: undefined,
};
const size = { numFrames: frames, height: height * vae.scale, width: width * vae.scale };
const stage = describeUnet(networks, { ...size, cacheInterval: 1, chunkFeedForward: 1 }, { halves: 1, steps: 1 });
await withStage(context, stage, async ([session]) => {
  const loadSeconds = stopwatch.elapsed();
  const evaluate = () => session!.run(inputs, { part: "one evaluation" });
  let result = await evaluate();
  const warmUpSeconds = stopwatch.elapsed() - loadSeconds;
  for (let run = 0; run < Number(values.runs); run++) result = await stopwatch.run(evaluate);
  await writeFile(outputFile, encodeSafetensors({ sample: result.sample! }));
  printMeasurement(stopwatch, { loadSeconds, warmUpSeconds });
});
await engine.dispose();
