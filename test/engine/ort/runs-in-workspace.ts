/** How do tests use a workspace as a stage does? Three sessions in turn, each of which runs twice in it. */
import type { Engine, Workspace } from "../../../src/engine/engine.ts";
import { floatTensor } from "../../../src/tensor.ts";
import { transposeChain } from "./test-models.ts";

const size = 2048;
/** 17 MB. */
export const valueBytes = 4 * size * size;
export const chainModel = { name: "chain", bytes: transposeChain(size, 3) };

/** Room for x and y, and for the two values between them. */
export const spacious = { tensorBytes: 2 * valueBytes, runBytes: 2 * valueBytes };

/** @param sharesRuns whether the sessions' own buffers are in the workspace too */
export async function runInTurn(engine: Engine, workspace: Workspace, sharesRuns: boolean): Promise<void> {
  const [x, y] = [0, 1].map((place) =>
    floatTensor([size, size], new Float32Array(workspace.tensors, place * valueBytes, size * size)),
  );
  x!.data.fill(1); // pages that are only read take no memory
  for (let i = 0; i < 3; i++) {
    const session = await engine.load(chainModel, sharesRuns ? { workspace } : {});
    for (let run = 0; run < 2; run++) await session.run({ x: x! }, { outputs: { y: y! } });
    await session.release();
  }
}
