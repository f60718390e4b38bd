/** What memory does this process have? One pool, which all engines of its main thread share. */
import type { MemoryPool } from "../engine.ts";
import { createReservedMemory } from "../reserved-memory.ts";
import { addressSpaceLeft } from "./native-memory.ts";

const heldBytes = () => process.memoryUsage.rss();

export const processMemory: MemoryPool = {
  availableBytes: () => Math.min(process.availableMemory(), addressSpaceLeft()),
  heldBytes,
  ...createReservedMemory(heldBytes),
};
