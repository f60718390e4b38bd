/**
 * What does looking at a UNet's numbers cost? The time that it takes to look at the outputs of one evaluation, beside that of the
 * evaluation: node bench/finite-stillmotion.ts [CHECKPOINT] [--frames N] [--width N] [--height N] [--runs N] [--dtype int8]
 */
import { parseArgs } from "node:util";
import { areFinite } from "../src/finite.ts";
import type { Dtype } from "../src/lowering/lowerings.ts";
import { openDevice } from "../src/node/devices/device-table.ts";
import { openCheckpoint } from "../src/node/weights.ts";
import { chooseUnetLowering } from "../src/options/choose-lowering.ts";
import { readNetworks, unetsOf } from "../src/pipeline/networks.ts";
import { elementCount, floatTensor } from "../src/tensor.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    frames: { type: "string", default: "8" },
    width: { type: "string", default: "256" },
    height: { type: "string", default: "144" },
    runs: { type: "string", default: "7" },
    dtype: { type: "string", default: "fp32" },
  },
});

const dtype = values.dtype as Dtype;
const { engine, lowerings } = await openDevice();
const checkpoint = await openCheckpoint(positionals[0] ?? "models/tiny");
const networks = readNetworks(checkpoint, lowerings, chooseUnetLowering(lowerings, { dtype }));
const size = { numFrames: Number(values.frames), width: Number(values.width), height: Number(values.height) };
/** With DeepCache, whose whole UNet gives the most numbers; without, its sample alone. */
for (const cacheInterval of [1, 2]) {
  const [{ model, graph }] = unetsOf(networks, { ...size, cacheInterval, chunkFeedForward: 1 }) as [
    ReturnType<typeof unetsOf>[number],
  ];
  const session = await engine.load(model);
  const inputs = Object.fromEntries(
    graph.inputs.map(({ name, shape }) => [
      name,
      floatTensor(
        shape,
        Float32Array.from({ length: elementCount(shape) }, (_, index) => Math.sin(index * index)),
      ),
    ]),
  );
  let [evaluationMs, lookingMs, numbers] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0];
  for (let run = 0; run < Number(values.runs); run++) {
    const started = performance.now();
    const outputs = Object.values(await session.run(inputs));
    const evaluated = performance.now();
    if (!outputs.every(({ data }) => areFinite(data as Float32Array))) throw new Error("not finite");
    lookingMs = Math.min(lookingMs, performance.now() - evaluated);
    evaluationMs = Math.min(evaluationMs, evaluated - started);
    numbers = outputs.reduce((sum, { data }) => sum + data.length, 0);
  }
  await session.release();
  const share = ((100 * lookingMs) / evaluationMs).toFixed(3);
  const outputs = cacheInterval === 1 ? "the sample" : "the sample and DeepCache's feature";
  console.log(
    `${dtype}, ${outputs}: ${numbers} numbers looked at in ${lookingMs.toFixed(3)} ms, evaluation ${evaluationMs.toFixed(0)} ms: ${share} %`,
  );
}
await engine.dispose();
