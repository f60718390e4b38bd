/** Which memory may runs under way in this process still take? What each was granted, less what the process has grown by since. */

export interface ReservedMemory {
  /** Grants a run its bytes. Call what it gives when the run is over; safe to call twice. */
  reserve(sizeBytes: number): () => void;
  promisedBytes(): number;
}

/** @param residentBytes what the process holds now */
export function createReservedMemory(residentBytes: () => number): ReservedMemory {
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

/** Of all engines: they share the process's memory. */
export const processMemory = createReservedMemory(() => process.memoryUsage.rss());
