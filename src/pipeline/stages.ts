/** Which networks run, in which order, and what does a listener hear of it? Each is resident only while it is needed. */
import type { Engine, Model, Session } from "../engine/engine.ts";

/** The four networks in the order in which a clip passes through them. */
const stages = ["image encoder", "vae encoder", "unet", "vae decoder"] as const;
export type Stage = (typeof stages)[number];

/** What `onProgress` receives: a stage is loaded, works through its parts, and is released. */
export interface ProgressEvent {
  readonly stage: Stage;
  readonly state: "loading" | "running" | "released";
  /** Parts done so far (pictures, steps, frames or as much work as they are), while running. */
  readonly done?: number;
  readonly total?: number;
}

export interface StageContext {
  readonly engine: Engine;
  readonly onProgress: (event: ProgressEvent) => void;
  readonly signal: AbortSignal | undefined;
}

/** Loads a model, lets `use` run it, and gives its memory back whatever happens. */
export async function withSession<Result>(
  context: StageContext,
  stage: Stage,
  model: Model,
  use: (session: Session) => Promise<Result>,
): Promise<Result> {
  const { engine, onProgress, signal } = context;
  onProgress({ stage, state: "loading" });
  const session = await engine.load(model, { signal });
  try {
    return await use(session);
  } finally {
    await session.release();
    onProgress({ stage, state: "released" });
  }
}
