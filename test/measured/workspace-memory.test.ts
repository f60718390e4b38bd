/** Do sessions that share a workspace touch its memory once, and is all of it given back? */
import { expect, it } from "vitest";
import type { Workspace } from "../../src/engine/engine.ts";
import { runInTurn, spacious, valueBytes } from "../engine/ort/runs-in-workspace.ts";
import { testEngine } from "../support/evaluate.ts";

const engine = testEngine();

/** First touches of pages by three sessions in turn. */
async function faults(workspace: Workspace, sharesRuns: boolean): Promise<number> {
  const before = process.resourceUsage().minorPageFault;
  await runInTurn(engine(), workspace, sharesRuns);
  return process.resourceUsage().minorPageFault - before;
}

it("runs in a workspace touch memory once for all sessions, and give all of it back", async () => {
  const workspace = await engine().openWorkspace(spacious);
  await runInTurn(engine(), workspace, true); // touches the tensors
  const heldBytes = process.memoryUsage.rss();
  const [shared, fresh] = [await faults(workspace, true), await faults(workspace, false)];
  expect(shared, `${shared} with, ${fresh} without`).toBeLessThan(0.5 * fresh);
  await workspace.release();
  // The two tensors, and in the arena the two values between them.
  expect(heldBytes - process.memoryUsage.rss()).toBeGreaterThan(3.5 * valueBytes);
});
