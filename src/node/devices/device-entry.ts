/** What does a kind of device consist of in Node? How its engine is started, and how networks are written for it. */
import type { Engine } from "../../engine/engine.ts";
import type { Lowerings } from "../../lowering/lowerings.ts";

/** What loading options say of an engine. */
export interface EngineOptions {
  readonly threads?: number | undefined;
  readonly libraryPath?: string | undefined;
}

/** A kind of device that this platform may have. */
export interface DeviceEntry {
  readonly lowerings: Lowerings;
  /** @throws StillmotionError `engine` or `unsupported` where this machine has no such device */
  startEngine(options: EngineOptions): Promise<Engine>;
}
