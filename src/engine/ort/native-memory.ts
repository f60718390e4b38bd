/** How does memory that native code freed get back to the system? */
import { readFileSync } from "node:fs";
import { koffi } from "./koffi.ts";

/** glibc's parameters `M_MMAP_THRESHOLD` and `M_TRIM_THRESHOLD`. */
const mmapThreshold = -3;
const trimThreshold = -1;

/**
 * Gives every large block pages of its own, which go back to the system when the block is freed. Left alone, glibc soon
 * puts blocks of up to 32 MB among the small ones, where they leave holes: 7.4 against 6.4 GB after loading SVD-XT's UNet.
 */
export function keepLargeBlocksApart(): void {
  setThresholds(apart);
}

interface Thresholds {
  /** Blocks from this size on have pages of their own. */
  readonly apartBytes: number;
  /** So much free memory at the end of a heap is kept. */
  readonly keptBytes: number;
}

const apart: Thresholds = { apartBytes: 1024 * 1024, keptBytes: 128 * 1024 };

/** The largest that glibc takes, and more than there is in one of its heaps. */
const together: Thresholds = { apartBytes: 32 * 1024 * 1024, keptBytes: 128 * 1024 * 1024 };

/** How much work that reuses large blocks is under way. */
let reusers = 0;

/**
 * Large blocks that are freed meanwhile, by whichever thread, are used again, after which they go back to the system. For work that
 * takes and frees many: a session packs a weight anew for each node that reads it, and then drops all copies but one.
 */
export async function reusingLargeBlocks<T>(work: () => Promise<T>): Promise<T> {
  if (reusers++ === 0) setThresholds(together);
  try {
    return await work();
  } finally {
    if (--reusers === 0) setThresholds(apart);
    returnFreedMemory();
  }
}

function setThresholds({ apartBytes, keptBytes }: Thresholds): void {
  mallopt ??= glibcFunction("int mallopt(int parameter, int value)");
  mallopt?.(mmapThreshold, apartBytes);
  mallopt?.(trimThreshold, keptBytes);
}

let mallopt: ((parameter: number, value: number) => number) | undefined;

/** glibc keeps freed memory for later; this gives it back. */
export function returnFreedMemory(): void {
  mallocTrim ??= glibcFunction("int malloc_trim(size_t pad)");
  mallocTrim?.(0);
}

let mallocTrim: ((keepBytes: number) => number) | undefined;

/** Other C libraries have no such calls, and no need of them. */
function glibcFunction<T>(declaration: string): T | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return koffi.load(null).func(declaration) as T;
  } catch {
    return undefined; // musl
  }
}

/** Bytes that the process may still map where its address space is limited, as `ulimit -v` does. Elsewhere no limit. */
export function addressSpaceLeft(): number {
  if (process.platform !== "linux") return Number.POSITIVE_INFINITY;
  try {
    const limit = /^Max address space +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    const taken = /^VmSize:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    return limit && taken ? Math.max(0, Number(limit) - 1024 * Number(taken)) : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
