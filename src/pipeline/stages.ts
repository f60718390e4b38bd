/** Which networks run, in which order, and what does a listener hear of it? */
import type { Engine, Workspace } from "../engine/engine.ts";
import type { WrittenNetwork } from "../models/network.ts";
import { explained, lookingAtOutputs, type StageSession, type Suspects } from "./not-finite.ts";
import type { Loan, Sessions } from "./sessions.ts";

/** The networks in the order in which a clip passes through them. */
const stages = ["image encoder", "vae encoder", "conditioning", "unet", "vae decoder"] as const;
export type Stage = (typeof stages)[number];

/** What `onProgress` receives: a stage is loaded, works through its parts, and is released or kept for the next call. */
export interface ProgressEvent {
  readonly stage: Stage;
  /** `loading` is left out where the stage is still loaded; `kept` comes in place of `released` with `offload: "none"`. */
  readonly state: "loading" | "running" | "released" | "kept";
  /** Parts done so far (pictures, steps, frames or as much work as they are), while running. */
  readonly done?: number;
  readonly total?: number;
}

/** One call of the pipeline. */
export interface StageContext {
  /** For what lies outside of networks. */
  readonly engine: Pick<Engine, "createScratch" | "openWorkspace" | "availableMemoryBytes">;
  readonly sessions: Sessions;
  /** Shared by the sessions of a stage. */
  readonly workspace?: Workspace | undefined;
  readonly onProgress: (event: ProgressEvent) => void;
  readonly signal: AbortSignal | undefined;
  /** Without them an error says only where numbers were no longer finite. */
  readonly suspects?: Suspects | undefined;
}

/** Loads a network unless it is loaded, lets `use` run it, and gives its memory back, or keeps it, whatever happens. */
export function withSession<Result>(
  context: StageContext,
  stage: Stage,
  network: WrittenNetwork,
  use: (session: StageSession) => Promise<Result>,
): Promise<Result> {
  return withSessions(context, stage, [network], ([session]) => use(session!));
}

/** The same for a stage of several networks, which hold their memory together. */
export async function withSessions<Result>(
  context: StageContext,
  stage: Stage,
  networks: readonly WrittenNetwork[],
  use: (sessions: readonly StageSession[]) => Promise<Result>,
): Promise<Result> {
  const { sessions, onProgress, suspects } = context;
  let isAnnounced = false;
  const onLoad = () => {
    if (!isAnnounced) onProgress({ stage, state: "loading" });
    isAnnounced = true;
  };
  const loans: Loan[] = [];
  try {
    for (const network of networks) {
      const lending = sessions.lend(stage, network, context, onLoad);
      const loan = await lending.catch((error) => {
        throw explained(error, stage, suspects);
      });
      loans.push(loan);
    }
    return await use(loans.map(({ session }) => lookingAtOutputs(stage, session, suspects)));
  } finally {
    for (const [index, loan] of loans.entries()) {
      const state = await loan.end();
      if (index === loans.length - 1) onProgress({ stage, state });
    }
  }
}
