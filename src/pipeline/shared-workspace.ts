/** When do the sessions of a stage share a workspace? While memory is ample, so that their runs get its pages once. */
import type { Workspace, WorkspaceSize } from "../engine/engine.ts";
import type { StageContext } from "./stages.ts";

/** The sessions of the stage share a workspace. */
export interface WorkspaceContext extends StageContext {
  readonly workspace: Workspace;
}

/**
 * Opens a workspace, lends it to the sessions that `use` loads, and gives its memory back, whatever happens.
 *
 * @param weightsBytes of the sessions that are loaded at the same time
 */
export async function withWorkspace<Result>(
  context: StageContext,
  { tensorBytes, runBytes }: WorkspaceSize,
  weightsBytes: number,
  use: (context: WorkspaceContext) => Promise<Result>,
): Promise<Result> {
  const { engine, sessions, signal } = context;
  // Near the end of memory ONNX Runtime would keep the last of it, and leave none for anybody else.
  const isAmple = engine.availableMemoryBytes() > 3 * (tensorBytes + runBytes + weightsBytes);
  // Sessions that stay loaded outlive the workspace.
  const servesRuns = isAmple && sessions.offload === "model";
  const workspace = await engine.openWorkspace({ tensorBytes, runBytes: servesRuns ? runBytes : 0 }, { signal });
  try {
    return await use({ ...context, workspace });
  } finally {
    await workspace.release();
  }
}
