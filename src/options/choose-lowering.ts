/** In which arithmetic does the UNet run, and in which format is it held? What the options ask for, of what the device has. */
import { inCall, type Message, message, option, StillmotionError } from "../errors.ts";
import type { Lowerings, UnetChoice, UnetLowering } from "../lowering/lowerings.ts";
import { type FromPretrainedOptions, loadDefaults } from "./load-options.ts";
import { show } from "./parse-settings.ts";

/** @throws StillmotionError `unsupported` for an arithmetic, or a format with it, that the device does not have */
export function chooseUnetLowering(
  { unet }: Lowerings,
  {
    dtype = loadDefaults.dtype,
    weightStorage = loadDefaults.weightStorage,
  }: Pick<FromPretrainedOptions, "dtype" | "weightStorage">,
): UnetLowering {
  const ofDtype = unet.filter((lowering) => lowering.dtype === (dtype === "auto" ? unet[0]!.dtype : dtype));
  if (ofDtype.length === 0) {
    const dtypes = new Set(unet.map((lowering) => lowering.dtype));
    const problem = message`${option("dtype")} is ${show(dtype)}, this version computes in ${[...dtypes].join(" or ")}`;
    const mend = message`weights stored as fp16, bf16 or fp8 are read as they are (see ${option("variant")})`;
    throw new StillmotionError("unsupported", message`${inCall("fromPretrained")}${problem}; ${mend}`);
  }
  const chosen = ofDtype.find((each) => weightStorage === "auto" || each.weightStorage === weightStorage);
  if (chosen) return chosen;
  const [{ dtype: computed }] = ofDtype as [UnetLowering];
  const able = ofDtype.map((each) => each.weightStorage).join(", ");
  const others = ofDtype.length === 1 ? message`; the others are for ${option("dtype")} ${unet[0]!.dtype}` : "";
  const got = message`${inCall("fromPretrained")}${option("weightStorage")} is ${show(weightStorage)}`;
  const expected = message`with ${option("dtype")} ${computed} it is auto or ${able}${others}`;
  throw new StillmotionError("unsupported", message`${got}, ${expected}`);
}

/** The option that gives one choice where the other is in force: `dtype "int8"`. */
export function wordsForChoice({ dtype, weightStorage }: UnetChoice, inForce: UnetChoice): Message {
  return dtype === inForce.dtype
    ? message`${option("weightStorage")} "${weightStorage}"`
    : message`${option("dtype")} "${dtype}"`;
}
