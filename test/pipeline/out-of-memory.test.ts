/** What does a run do when memory runs out in its middle? */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";
import { canLimitMemory } from "../support/limit-memory.ts";

const folder = mkdtempSync(join(tmpdir(), "pipeline-out-of-memory-"));
afterAll(() => rmSync(folder, { recursive: true }));

it.runIf(canLimitMemory).each([
  ["all frames at once", 8],
  ["in windows", 4],
])(
  "decoding %s: the run ends with a plan that would have fitted, leaves nothing, and the pipeline lives on",
  { timeout: 240_000 },
  async (_, window) => {
    const program = join(import.meta.dirname, "run-out-of-memory.ts");
    // V8 has its own few megabytes beforehand: it ends the process when they do not come.
    const ownMemory = ["--min-semi-space-size=16", "--max-semi-space-size=16"];
    const call = [...ownMemory, program, String(window), folder];
    const { stdout } = await promisify(execFile)(process.execPath, call);
    const { limited, left, again } = JSON.parse(stdout);
    expect(limited, limited.message).toMatchObject({ code: "out-of-memory" });
    expect(limited.message).toMatch(
      /^generate: memory ran out \(vae decoder.*(bad_alloc|Failed to allocate).*\); [\d.]+ MB are free; .* would fit( either)?/,
    );
    expect(left).toEqual([]);
    expect(again).toEqual({ frames: 8 });
  },
);
