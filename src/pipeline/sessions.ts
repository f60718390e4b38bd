/** How long does a loaded network stay? Until its stage is over, or for the next call of the pipeline as well. */
import type { Engine, Model, Session, Workspace } from "../engine/engine.ts";
import type { WrittenNetwork } from "../models/network.ts";
import { memoryOf } from "../onnx/memory.ts";
import type { Offload } from "../options/load-options.ts";

/** Who asks for a session: the same object for all stages of one call of the pipeline. */
interface Borrower {
  readonly signal: AbortSignal | undefined;
  /** For sessions that do not outlive it. */
  readonly workspace?: Workspace | undefined;
}

export interface Loan {
  readonly session: Session;
  /** Ends the use of the session. Its memory is given back (`released`) or not (`kept`). */
  end(): Promise<"released" | "kept">;
}

/** The owner of a pipeline's sessions. What it keeps is released with the engine. */
export interface Sessions {
  readonly offload: Offload;
  /**
   * Lends a session of a network.
   *
   * @param stage of its networks those are kept that one call uses: other ones make way
   * @param onLoad called when the network has to be loaded
   */
  lend(stage: string, network: WrittenNetwork, borrower: Borrower, onLoad: () => void): Promise<Loan>;
  /** What the weights of the kept sessions take. */
  keptBytes(): number;
}

export function createSessions(engine: Engine, offload: Offload): Sessions {
  return offload === "model" ? releaseAfterUse(engine) : keepLoaded(engine);
}

function releaseAfterUse(engine: Engine): Sessions {
  return {
    offload: "model",
    async lend(_, { model }, { signal, workspace }, onLoad) {
      onLoad();
      const session = await engine.load(model, { signal, workspace });
      const end = async () => {
        await session.release();
        return "released" as const;
      };
      return { session, end };
    },
    keptBytes: () => 0,
  };
}

interface Kept {
  readonly stage: string;
  readonly model: Model;
  readonly session: Session;
  readonly weightsBytes: number;
  /** Loans that have not ended. */
  loans: number;
  lastBorrower: Borrower;
}

function keepLoaded(engine: Engine): Sessions {
  const all = new Set<Kept>();

  async function release(unwanted: Kept): Promise<void> {
    all.delete(unwanted);
    await unwanted.session.release();
  }

  /** Releases what the stage kept of earlier calls, for clips of another size: before a load, not after it. */
  async function makeWay(stage: string, borrower: Borrower): Promise<void> {
    for (const each of [...all]) {
      if (each.stage === stage && each.loans === 0 && each.lastBorrower !== borrower) await release(each);
    }
  }

  async function load(stage: string, { model, graph }: WrittenNetwork, borrower: Borrower): Promise<Kept> {
    const session = await engine.load(model, { signal: borrower.signal });
    const { weightsBytes } = memoryOf(graph);
    const kept: Kept = { stage, model, session, weightsBytes, loans: 0, lastBorrower: borrower };
    all.add(kept);
    return kept;
  }

  return {
    offload: "none",
    async lend(stage, network, borrower, onLoad) {
      let kept = [...all].find(({ model }) => model === network.model);
      if (!kept) {
        await makeWay(stage, borrower);
        onLoad();
        kept = await load(stage, network, borrower);
      }
      const { session } = kept;
      kept.loans++;
      kept.lastBorrower = borrower;
      const end = async () => {
        kept.loans--;
        // Two calls at the same time may both have loaded it.
        const isDouble = [...all].some((other) => other !== kept && other.model === kept.model);
        if (!isDouble || kept.loans > 0) return "kept";
        await release(kept);
        return "released";
      };
      return { session, end };
    },
    keptBytes: () => [...all].reduce((sum, { weightsBytes }) => sum + weightsBytes, 0),
  };
}
