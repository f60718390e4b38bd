/** How does a stage run? Its networks are loaded, used, and released or kept, whatever happens; a listener hears of it. */
import type { DeviceTensor, Engine, Session, Workspace } from "../engine/engine.ts";
import type { WrittenNetwork } from "../models/network.ts";
import type { ScratchSpace } from "../streaming/scratch.ts";
import type { Tensor } from "../tensor.ts";
import { explained, lookingAtOutputs, type StageSession, type Suspects } from "./not-finite.ts";
import type { ProgressEvent, Stage } from "./progress.ts";
import type { Loan, Sessions } from "./sessions.ts";
import type { StageDescription } from "./stages.ts";

/** One call of the pipeline. */
export interface StageContext {
  /** For what lies outside of networks. */
  readonly engine: Pick<Engine, "openWorkspace" | "memory">;
  readonly scratch: ScratchSpace;
  readonly sessions: Sessions;
  /** Shared by the sessions of a stage. */
  readonly workspace?: Workspace | undefined;
  readonly onProgress: (event: ProgressEvent) => void;
  readonly signal: AbortSignal | undefined;
  /** Without them an error says only where numbers were no longer finite. */
  readonly suspects?: Suspects | undefined;
}

/** The sessions of the stage share a workspace. */
export interface WorkspaceContext extends StageContext {
  readonly workspace: Workspace;
}

/** Loads all networks of a stage together, and a workspace where they share one. */
export function withStage<Result>(
  context: StageContext,
  { stage, uses, memory, workspace }: StageDescription,
  use: (sessions: readonly StageSession[]) => Promise<Result>,
): Promise<Result> {
  const networks = uses.map(({ network }) => network);
  const inContext = (context: StageContext) => withSessions(context, stage, networks, use);
  return workspace ? withWorkspace(context, { memory, workspace }, inContext) : inContext(context);
}

/**
 * Loads networks unless they are loaded, lets `use` run them, and gives their memory back, or keeps it. Outputs that it left on the
 * device are released.
 */
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
  const onDevice = new Set<DeviceTensor>();
  try {
    for (const network of networks) {
      const lending = sessions.lend(stage, network, context, onLoad);
      const loan = await lending.catch((error) => {
        throw explained(error, stage, suspects);
      });
      loans.push(loan);
    }
    return await use(loans.map(({ session }) => lookingAtOutputs(stage, collecting(session, onDevice), suspects)));
  } finally {
    for (const tensor of onDevice) await tensor.release();
    for (const [index, loan] of loans.entries()) {
      const state = await loan.end();
      if (index === loans.length - 1) onProgress({ stage, state });
    }
  }
}

/** A session whose outputs that stay on the device are noted. */
function collecting(session: Session, onDevice: Set<DeviceTensor>): Pick<Session, "run"> {
  return {
    async run(inputs, options) {
      const results = await session.run(inputs, options);
      for (const output of Object.values<Tensor | DeviceTensor>(results)) if (!("data" in output)) onDevice.add(output);
      return results;
    },
  };
}

/** Opens a workspace, lends it to the sessions that `use` loads, and gives its memory back, whatever happens. */
export async function withWorkspace<Result>(
  context: StageContext,
  { memory: { weightsBytes }, workspace: size }: Required<Pick<StageDescription, "memory" | "workspace">>,
  use: (context: WorkspaceContext) => Promise<Result>,
): Promise<Result> {
  const { engine, sessions, signal } = context;
  const { tensorBytes, runBytes } = size;
  // Near the end of memory ONNX Runtime would keep the last of it, and leave none for anybody else.
  const isAmple = engine.memory.device.availableBytes() > 3 * (tensorBytes + runBytes + weightsBytes);
  // Sessions that stay loaded outlive the workspace.
  const servesRuns = isAmple && sessions.offload === "model";
  const workspace = await engine.openWorkspace({ tensorBytes, runBytes: servesRuns ? runBytes : 0 }, { signal });
  try {
    return await use({ ...context, workspace });
  } finally {
    await workspace.release();
  }
}
