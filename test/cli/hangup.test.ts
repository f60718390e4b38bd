import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hasPseudoTerminals, openPseudoTerminal } from "../support/pseudo-terminal.ts";
import { checkpoint, type Outcome, picture, scratchFolder, start } from "./command.ts";

const size = ["--model", checkpoint, "--width", "64", "--height", "64", "--frames", "2", "--seed", "1"];
const generate = ["generate", picture, "-o", "clip.mp4", ...size, "--steps", "40"];

/** On a busy machine too. */
const timeout = 120_000;

/** Nothing that speaks of `nohup`, whatever the tests run under. */
const plain = { _: undefined };

/** Starts a run in a session of its own, and hangs up once it is on its way. */
async function hangUpOn(options: Parameters<typeof start>[1]) {
  const cwd = await scratchFolder();
  const { child, outcome } = start([...generate, "--json"], { cwd, env: plain, detached: true, ...options });
  await new Promise<void>((resolve) => {
    child.stdout!.on("data", (data) => String(data).includes('"start"') && resolve());
  });
  process.kill(-child.pid!, "SIGHUP");
  return { ...endOf(await outcome), files: await readdir(cwd) };
}

/** A run that takes too long to stop is ended by the signal itself. */
function endOf({ code, signal }: Outcome) {
  return { code: signal === "SIGHUP" ? 129 : code };
}

describe.skipIf(process.platform === "win32")("a run that is hung up on", { timeout }, () => {
  it("stops", async () => {
    expect(await hangUpOn({})).toEqual({ code: 129, files: [] });
  });

  it("goes on where its shell says that nohup started it", async () => {
    const env = { _: "/usr/bin/nohup" };
    expect(await hangUpOn({ env })).toEqual({ code: 0, files: ["clip.mp4"] });
  });

  it.skipIf(!existsSync("/proc/self/status"))("goes on where its script ignores that (Linux tells)", async () => {
    const through = ["sh", "-c", `trap "" HUP; "$0" "$@"; exit $?`];
    expect(await hangUpOn({ through })).toEqual({ code: 0, files: ["clip.mp4"] });
  });
});

const hasSetsid = spawnSync("setsid", ["--version"]).status === 0;

describe.skipIf(!hasPseudoTerminals || !hasSetsid)("a terminal that is closed (needs setsid)", { timeout }, () => {
  /** Runs with a terminal that it belongs to, which goes once the run is on its way. */
  async function closeTerminalOf(cwd: string, nohup: string[], text: (seen: string) => string) {
    const { descriptor, ...terminal } = openPseudoTerminal();
    const through = ["setsid", "--ctty", ...nohup];
    const stdio = [descriptor, descriptor, descriptor];
    const { outcome } = start(generate, { cwd, through, stdio, env: { ...plain, TERM: "xterm" } });
    await expect.poll(() => text(terminal.text()), { timeout }).toContain("40 steps");
    terminal.close();
    return endOf(await outcome);
  }

  it("stops the run", async () => {
    const cwd = await scratchFolder();
    expect(await closeTerminalOf(cwd, [], (seen) => seen)).toEqual({ code: 129 });
    expect(await readdir(cwd)).toEqual([]);
  });

  it("does not stop a run under nohup", async () => {
    const cwd = await scratchFolder();
    const log = join(cwd, "nohup.out");
    const written = () => (existsSync(log) ? readFileSync(log, "utf8") : "");
    expect(await closeTerminalOf(cwd, ["nohup"], written)).toEqual({ code: 0 });
    expect(await readdir(cwd)).toEqual(["clip.mp4", "nohup.out"]);
  });
});
