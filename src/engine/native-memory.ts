/** How does memory that native code freed get back to the system? */
import { readFileSync } from "node:fs";
import koffi from "koffi";

/** glibc's `M_MMAP_THRESHOLD`. */
const mmapThreshold = -3;

/**
 * Gives every large block pages of its own, which go back to the system when the block is freed. Left alone, glibc soon
 * puts blocks of up to 32 MB among the small ones, where they leave holes: 7.4 against 6.4 GB after loading SVD-XT's UNet.
 */
export function keepLargeBlocksApart(): void {
  glibcFunction<(parameter: number, value: number) => number>("int mallopt(int param, int value)")?.(
    mmapThreshold,
    1024 * 1024,
  );
}

/** Linux's `MADV_HUGEPAGE`, and the pages that advice is given for. */
const adviseLargePages = 14;
const pageBytes = 4096;

/**
 * Asks for pages of 2 MB in place of 4 KB before a large block is first written: each first touch of a page costs the
 * kernel time, 1.2 s a GB with small pages and 0.2 s with large ones. No harm where the kernel cannot.
 */
export function wantLargePages(address: bigint, sizeBytes: number): void {
  const start = (address + BigInt(pageBytes - 1)) & ~BigInt(pageBytes - 1);
  const length = Number(address) + sizeBytes - Number(start);
  if (length < 2 * 1024 * 1024) return;
  madvise ??= glibcFunction("int madvise(void *address, size_t length, int advice)");
  madvise?.(start, length, adviseLargePages);
}

let madvise: ((address: bigint, length: number, advice: number) => number) | undefined;

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
