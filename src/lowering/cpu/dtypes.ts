/** In which arithmetic may the UNet run, in which format is it held, and which lowering writes it so? */
import { inCall, message, option, StillmotionError } from "../../errors.ts";
import type { CreateLowering } from "../../models/network.ts";
import { show } from "../../options/parse-settings.ts";
import { createCpuFp32Lowering } from "./fp32.ts";
import { createCpuInt8Lowering } from "./int8.ts";
import type { WeightStorage } from "./parameter.ts";

/** Formats that the weights of each arithmetic may be held in; the first is what `auto` takes. */
const storages = {
  fp32: ["stored", "fp32", "int8"],
  int8: ["int8"],
} as const satisfies Readonly<Record<string, readonly WeightStorage[]>>;

export type Dtype = keyof typeof storages;

/** What a caller may ask for; `auto` is the arithmetic of the reference. */
export const dtypes = ["auto", "fp32", "int8"] as const;
export const weightStorages = ["auto", "fp32", "stored", "int8"] as const;

/** @throws StillmotionError `unsupported` for an arithmetic that this version does not have */
export function resolveDtype(dtype: (typeof dtypes)[number] = "auto"): Dtype {
  if (!dtypes.includes(dtype)) {
    throw new StillmotionError(
      "unsupported",
      message`${inCall("fromPretrained")}${option("dtype")} is ${show(dtype)}, this version computes in ${dtypes.slice(1).join(" or ")}; weights stored as fp16, bf16 or fp8 are read as they are (see ${option("variant")})`,
    );
  }
  return dtype === "auto" ? "fp32" : dtype;
}

/** @throws StillmotionError `unsupported` for a format that the arithmetic cannot do with */
export function resolveWeightStorage(
  storage: (typeof weightStorages)[number] | undefined = "auto",
  dtype: Dtype,
): WeightStorage {
  const able: readonly WeightStorage[] = storages[dtype];
  if (storage === "auto") return able[0]!;
  if (able.includes(storage)) return storage;
  const got = message`${inCall("fromPretrained")}${option("weightStorage")} is ${show(storage)}`;
  const others = dtype === "int8" ? message`; the others are for ${option("dtype")} fp32` : "";
  const problem = message`${got}, with ${option("dtype")} ${dtype} it is auto or ${able.join(", ")}${others}`;
  throw new StillmotionError("unsupported", problem);
}

export function unetLowering(dtype: Dtype, storage: WeightStorage): CreateLowering {
  return dtype === "int8" ? createCpuInt8Lowering : (graph) => createCpuFp32Lowering(graph, storage);
}

/** For a UNet that its session optimises: that brings stored weights to fp32 once, as `fp32` asks for. */
export function smallUnetLowering(storage: WeightStorage): CreateLowering | undefined {
  return storage === "fp32" ? unetLowering("fp32", "stored") : undefined;
}

/** The other networks run in fp32 whatever the UNet does: the decoder's errors are seen, and it is asked once a frame. */
export const lowering: CreateLowering = (graph) => createCpuFp32Lowering(graph);
