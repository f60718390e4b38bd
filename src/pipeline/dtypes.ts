/** In which arithmetic may the UNet run, and which lowering writes it so? */
import { StillmotionError } from "../errors.ts";
import { createCpuFp32Lowering } from "../lowering/cpu-fp32.ts";
import { createCpuInt8Lowering } from "../lowering/cpu-int8.ts";
import type { CreateLowering } from "../models/network.ts";
import { show } from "./parse-settings.ts";

const unetLowerings = {
  fp32: createCpuFp32Lowering,
  int8: createCpuInt8Lowering,
} as const satisfies Readonly<Record<string, CreateLowering>>;

export type Dtype = keyof typeof unetLowerings;

/** What a caller may ask for; `auto` is the arithmetic of the reference. */
export const dtypes = ["auto", "fp32", "int8"] as const;

/** @throws StillmotionError `unsupported` for an arithmetic that this version does not have */
export function resolveDtype(dtype: (typeof dtypes)[number] = "auto"): Dtype {
  if (!dtypes.includes(dtype)) {
    throw new StillmotionError(
      "unsupported",
      `fromPretrained: dtype is ${show(dtype)}, this version computes in ${dtypes.slice(1).join(" or ")}; weights stored as fp16 or bf16 are read as they are (see variant)`,
    );
  }
  return dtype === "auto" ? "fp32" : dtype;
}

/** The other networks run in fp32 whatever the UNet does: the decoder's errors are seen, and it is asked once a frame. */
export function unetLowering(dtype: Dtype): CreateLowering {
  return unetLowerings[dtype];
}
