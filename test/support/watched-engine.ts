/** What does a pipeline ask of its engine? The real engine, with a record of what was loaded, run and released. */
import type { DeviceTensor, Engine, Session } from "../../src/engine/engine.ts";
import { createOrtEngine } from "../../src/engine/ort/ort-engine.ts";
import type { Tensor } from "../../src/tensor.ts";

interface WatchedRun {
  readonly network: string;
  readonly inputs: Readonly<Record<string, Tensor | DeviceTensor>>;
}

export interface WatchedEngine {
  readonly engine: Engine;
  /** "load unet", "release unet" ... in order. */
  readonly changes: string[];
  readonly runs: WatchedRun[];
  /** Sessions that are loaded now. */
  loaded(): number;
}

export async function watchedEngine(change: Partial<Engine> = {}): Promise<WatchedEngine> {
  const real = await createOrtEngine({ threads: 2 });
  const changes: string[] = [];
  const runs: WatchedRun[] = [];
  let loaded = 0;

  function watch(network: string, session: Session): Session {
    return {
      run(inputs, options) {
        runs.push({ network, inputs });
        return session.run(inputs, options);
      },
      async release() {
        changes.push(`release ${network}`);
        loaded--;
        await session.release();
      },
    };
  }

  const engine: Engine = {
    ...real,
    async load(model, options) {
      changes.push(`load ${model.name}`);
      const session = await real.load(model, options);
      loaded++;
      return watch(model.name, session);
    },
    ...change,
  };
  return { engine, changes, runs, loaded: () => loaded };
}
