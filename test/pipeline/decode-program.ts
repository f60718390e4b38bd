/** How much memory does decoding take? A process of its own, which decodes 12 frames of 160x160 and prints its peak in bytes. */
import { join } from "node:path";
import { peakResidentBytes } from "../../bench/peak-memory.ts";
import { createOrtEngine } from "../../src/engine/ort/ort-engine.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import { decodeLatents } from "../../src/pipeline/decode.ts";
import { describeDecoder } from "../../src/pipeline/stages.ts";
import { floatTensor } from "../../src/tensor.ts";
import { contextOf, networksOf } from "../support/platform.ts";

const checkpoint = await openCheckpoint(join(import.meta.dirname, "..", "checkpoints", "two-levels-fp32"));
const engine = await createOrtEngine({ threads: 2 });
const networks = networksOf(checkpoint);
const size = { numFrames: 12, height: 160, width: 160 };
const settings = { ...size, decodeChunkSize: Number(process.argv[2]), decodeMode: "exact" } as const;
const stage = describeDecoder(networks, settings, { clips: 1, offload: "model" });
await decodeLatents(contextOf(engine), stage, networks, floatTensor([1, 12, 4, 40, 40]));
await engine.dispose();
process.stdout.write(String(peakResidentBytes()));
