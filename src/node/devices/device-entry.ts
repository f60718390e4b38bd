/** What does a kind of device consist of in Node? How its engine is started, and how networks are written for it. */
import type { Device } from "../../engine/device.ts";
import type { Lowerings } from "../../lowering/lowerings.ts";

/** What loading options say of an engine. */
export interface EngineOptions {
  readonly threads?: number | undefined;
  readonly libraryPath?: string | undefined;
}

/** A kind of device that this platform may have. */
export interface DeviceEntry {
  /** What can be asked for before it is open. */
  readonly lowerings: Lowerings;
  /**
   * Its engine, and the same lowerings as this machine has them.
   *
   * @throws StillmotionError `engine` or `unsupported` where this machine has no such device
   */
  open(options: EngineOptions): Promise<Omit<Device, "name">>;
}
