/** How much memory does decoding take? A process of its own, which decodes 12 frames of 160x160 and prints its peak in bytes. */
import { join } from "node:path";
import { peakResidentBytes } from "../../bench/peak-memory.ts";
import { createOrtEngine } from "../../src/engine/ort/ort-engine.ts";
import { createCpuFp32Lowering } from "../../src/lowering/cpu/fp32.ts";
import { decodeLatents } from "../../src/pipeline/decode.ts";
import { readNetworks } from "../../src/pipeline/networks.ts";
import { createSessions } from "../../src/pipeline/sessions.ts";
import { floatTensor } from "../../src/tensor.ts";
import { openCheckpoint } from "../../src/weights/checkpoint/checkpoint.ts";

const checkpoint = await openCheckpoint(join(import.meta.dirname, "..", "checkpoints", "two-levels-fp32"));
const engine = await createOrtEngine({ threads: 2 });
await decodeLatents(
  { engine, sessions: createSessions(engine, "model"), onProgress: () => {}, signal: undefined },
  readNetworks(checkpoint, createCpuFp32Lowering),
  floatTensor([1, 12, 4, 40, 40]),
  { decodeChunkSize: Number(process.argv[2]), decodeMode: "exact" },
);
await engine.dispose();
process.stdout.write(String(peakResidentBytes()));
