/** How does native memory come from ONNX Runtime, to be filled by us and read by sessions? */
import { StillmotionError } from "../../errors.ts";
import type { Handle, OrtApi } from "./api.ts";

export interface NativeBlock {
  readonly address: Handle;
  /** Safe to call twice. */
  free(): void;
}

/**
 * @param problem what the error says where there is no memory
 * @throws StillmotionError `out-of-memory`
 */
export function allocateBlock(api: OrtApi, sizeBytes: number, problem: string): NativeBlock {
  const allocator = api.GetAllocatorWithDefaultOptions(); // the library's own, not to be released
  const address = allocate(api, allocator, sizeBytes, problem);
  let isFree = false;
  return {
    address,
    free() {
      if (!isFree) api.AllocatorFree(allocator, address);
      isFree = true;
    },
  };
}

function allocate(api: OrtApi, allocator: Handle, sizeBytes: number, problem: string): Handle {
  try {
    return api.AllocatorAlloc(allocator, sizeBytes);
  } catch (error) {
    throw new StillmotionError("out-of-memory", `${problem} (${(error as Error).message})`, { cause: error });
  }
}
