/** How does memory that native code freed get back to the system? */
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
