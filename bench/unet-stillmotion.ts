/**
 * How long does our UNet take? A program of its own, so that each measurement starts from a fresh process:
 * node bench/unet-stillmotion.ts UNET_FOLDER INPUTS OUTPUT --threads N --runs N
 *
 * Prints one line of JSON, a `Measurement`, and writes the result of the last run to OUTPUT.
 */
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createNodeEngine } from "../src/engine/node-engine.ts";
import { createCpuFp32Lowering } from "../src/lowering/cpu-fp32.ts";
import { writeNetwork } from "../src/models/network.ts";
import { unet, unetConfig } from "../src/models/unet.ts";
import { readSingleWeights } from "../src/weights/component-weights.ts";
import { decodeSafetensors, encodeSafetensors } from "../src/weights/safetensors.ts";
import type { Component } from "../src/weights/types.ts";
import type { Measurement } from "./measurement.ts";
import { peakResidentBytes } from "./peak-memory.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { threads: { type: "string" }, runs: { type: "string" } },
});
const [folder, inputsFile, outputFile] = positionals as [string, string, string];

const started = performance.now();
const { version: onnxruntimeVersion } = createRequire(import.meta.url)("onnxruntime-node/package.json");
const since = (start: number) => (performance.now() - start) / 1000;

const component: Component = {
  name: "unet",
  config: JSON.parse(await readFile(join(folder, "config.json"), "utf8")),
  ...(await readSingleWeights(folder, "diffusion_pytorch_model.fp16.safetensors")),
};
const { tensors: inputs } = decodeSafetensors(await readFile(inputsFile), inputsFile);
const [frames, , height, width] = inputs.latents!.shape as [number, number, number, number];

const graphStarted = performance.now();
const network = unet(unetConfig(component.config), { frames, height, width });
const { model } = writeNetwork("unet", component, createCpuFp32Lowering, network);
const graphSeconds = since(graphStarted);

const engine = await createNodeEngine({ threads: Number(values.threads) });
const session = await engine.load(model);
const loadSeconds = since(started);

const stepSeconds: number[] = [];
const stepCpuSeconds: number[] = [];
let result = await session.run(inputs); // warm-up
const warmUpSeconds = since(started) - loadSeconds;
for (let run = 0; run < Number(values.runs); run++) {
  const stepStarted = performance.now();
  const cpuBefore = process.cpuUsage();
  result = await session.run(inputs);
  stepSeconds.push(since(stepStarted));
  const { user, system } = process.cpuUsage(cpuBefore);
  stepCpuSeconds.push((user + system) / 1e6);
}
const measurement: Measurement = {
  loadSeconds,
  warmUpSeconds,
  stepSeconds,
  stepCpuSeconds,
  peakBytes: peakResidentBytes(),
  details: {
    "onnxruntime-node": onnxruntimeVersion,
    node: process.versions.node,
    "graph written in": `${graphSeconds.toFixed(2)} s`,
  },
};
await writeFile(outputFile, encodeSafetensors({ sample: result.sample! }));
process.stdout.write(`${JSON.stringify(measurement)}\n`);
await engine.dispose();
