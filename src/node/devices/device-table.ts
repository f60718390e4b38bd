/** On which devices can graphs run in Node? One entry each: how its engine is started, and what it is given to compute. */
import type { Device } from "../../engine/device.ts";
import { message, option, StillmotionError } from "../../errors.ts";
import { loadDefaults } from "../../options/load-options.ts";
import { show } from "../../options/parse-settings.ts";
import { cpuDevice } from "./cpu.ts";
import type { DeviceEntry, EngineOptions } from "./device-entry.ts";

export type DeviceTable = Readonly<Record<string, DeviceEntry>>;

/** By the names of the option `device`; `auto` takes the first. */
export const devices: DeviceTable = { cpu: cpuDevice };

/** @throws StillmotionError `unsupported` for a name that the table does not have */
export function chooseDevice(
  name: string = loadDefaults.device,
  table: DeviceTable = devices,
): DeviceEntry & Pick<Device, "name"> {
  const chosen = name === loadDefaults.device ? Object.keys(table)[0]! : name;
  if (Object.hasOwn(table, chosen)) return { name: chosen, ...table[chosen]! };
  const expected = `this version runs graphs on ${[loadDefaults.device, ...Object.keys(table)].join(" or ")} only`;
  throw new StillmotionError("unsupported", message`${option("device")} is ${show(name)}, but ${expected}`);
}

/** Starts the engine of a device. Whoever opens a device disposes of that. */
export async function openDevice(
  { device, ...options }: EngineOptions & { readonly device?: string | undefined } = {},
  table: DeviceTable = devices,
): Promise<Device> {
  const { name, open } = chooseDevice(device, table);
  return { name, ...(await open(options)) };
}
