/** Which memory may runs under way in this process still take? What each was granted, less what the process has grown by since. */
import type { MemoryPool } from "./engine.ts";

/** @param residentBytes what the process holds now */
export function createReservedMemory(residentBytes: () => number): Pick<MemoryPool, "reserve" | "promisedBytes"> {
  const granted = new Set<{ readonly sizeBytes: number }>();
  let residentBefore = 0;
  return {
    reserve(sizeBytes) {
      if (granted.size === 0) residentBefore = residentBytes();
      const grant = { sizeBytes };
      granted.add(grant);
      return () => void granted.delete(grant);
    },
    promisedBytes() {
      if (granted.size === 0) return 0;
      const sum = [...granted].reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
      const grown = Math.max(0, residentBytes() - residentBefore);
      return Math.max(0, sum - grown);
    },
  };
}
