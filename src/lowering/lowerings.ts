/** Which ways of writing the networks has a device? One for each arithmetic and each format of the UNet's weights. */
import type { CreateLowering } from "./lowering.ts";

export const dtypes = ["fp32", "int8"] as const;

/**
 * An arithmetic of the UNet that a device may have.
 * @useDeclaredType
 */
export type Dtype = (typeof dtypes)[number];

export const weightStorages = ["fp32", "stored", "int8"] as const;
/**
 * What the UNet's weights are in memory, whatever the arithmetic: `fp32`; `stored`, as they lie in their file; or `int8`, with a
 * scale for each output. The last two are brought to fp32 each time that they are used, unless products multiply bytes.
 * @useDeclaredType
 */
export type WeightStorage = (typeof weightStorages)[number];

/** How a UNet is computed. */
export interface UnetChoice {
  readonly dtype: Dtype;
  readonly weightStorage: WeightStorage;
}

export interface UnetLowering extends UnetChoice {
  readonly create: CreateLowering;
  /** In place of `create` for a UNet that is so small that its sessions optimise it. */
  readonly createSmall?: CreateLowering | undefined;
}

/** What one device has. */
export interface Lowerings {
  /** The first is taken where nothing is asked for, of one arithmetic the first of that. */
  readonly unet: readonly UnetLowering[];
  /** Choices of them from the one that takes the most memory to the one that takes the least, for advice. */
  readonly byMemory: readonly UnetChoice[];
  /** All networks but the UNet: fp32 whatever that does, since the decoder's errors are seen, and it runs once a frame. */
  readonly others: CreateLowering;
  /** In place of `others` for a VAE of few weights. */
  readonly smallVae?: CreateLowering | undefined;
}

/** Those that take less memory than a choice, the largest of them first. */
export function withLessMemory({ unet, byMemory }: Lowerings, chosen: UnetChoice): UnetLowering[] {
  const isSame = (one: UnetChoice, other: UnetChoice) =>
    one.dtype === other.dtype && one.weightStorage === other.weightStorage;
  const index = byMemory.findIndex((choice) => isSame(choice, chosen));
  const smaller = index < 0 ? [] : byMemory.slice(index + 1);
  return smaller.flatMap((choice) => unet.find((lowering) => isSame(lowering, choice)) ?? []);
}
