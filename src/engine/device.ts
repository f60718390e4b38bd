/** What does one kind of processor give to the pipeline? Something that runs graphs, and lowerings that write them for it. */
import type { Lowerings } from "../lowering/lowerings.ts";
import type { Engine } from "./engine.ts";

/** A device that is ready to be used. Whoever opened it disposes of its engine. */
export interface Device {
  /** As the option `device` names it. */
  readonly name: string;
  readonly engine: Engine;
  readonly lowerings: Lowerings;
}
