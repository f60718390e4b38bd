/** What is said when memory runs out inside ONNX Runtime, and does the engine live on? */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";
import { canLimitMemory } from "../../support/limit-memory.ts";

const folder = mkdtempSync(join(tmpdir(), "engine-out-of-memory-"));
afterAll(() => rmSync(folder, { recursive: true }));

it.runIf(canLimitMemory).each(["load", "prepare", "run"])(
  "%s: an error with the code out-of-memory, and the next call is served",
  { timeout: 60_000 },
  async (what) => {
    const program = join(import.meta.dirname, "run-out-of-memory.ts");
    const { stdout } = await promisify(execFile)(process.execPath, [program, what, folder]);
    const { limited, again } = JSON.parse(stdout);
    expect(limited, limited.message).toMatchObject({ code: "out-of-memory" });
    expect(limited.message).toMatch(new RegExp(`^${what}: `));
    expect(again).toBe("done");
  },
);
