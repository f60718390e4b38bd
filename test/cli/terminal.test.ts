import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { hasPseudoTerminals, openPseudoTerminal } from "../support/pseudo-terminal.ts";
import { checkpoint, picture, scratchFolder, small, start, stillmotion } from "./command.ts";

const generate = ["generate", picture, "-o", "clip.mp4", ...small];

const bar = { name: "the bar", args: generate, env: { TERM: "xterm" } };
const log = { name: "a log", args: generate, env: { TERM: "dumb" } };
const json = { name: "--json", args: [...generate, "--json"], env: {} };
const quiet = { name: "--quiet", args: [...generate, "--quiet"], env: {} };

const lost = /^error: what belongs on stdout could not be written there \(E[A-Z]+: [^\n]+\); [^\n]+$/;

/** On a busy machine too. */
const timeout = 120_000;

/** A descriptor for a program, until the test is over. */
function opened(path: string, flags: string): number {
  const descriptor = openSync(path, flags);
  onTestFinished(() => closeSync(descriptor));
  return descriptor;
}

/** Runs in a folder of its own, where the clip has to be in the end. */
async function expectClip(
  { args, env }: { args: string[]; env: NodeJS.ProcessEnv },
  options: NonNullable<Parameters<typeof start>[1]>,
  meanwhile: (running: ReturnType<typeof start>) => Promise<void> | void = () => {},
) {
  const cwd = await scratchFolder();
  const running = start(args, { env, cwd, ...options });
  await meanwhile(running);
  const outcome = await running.outcome;
  expect(existsSync(join(cwd, "clip.mp4"))).toBe(true);
  return outcome;
}

/** Half a kilobyte or one, as the shell counts. */
const withoutRoom = ["sh", "-c", 'ulimit -f 1; exec "$0" "$@"'];

describe.skipIf(!hasPseudoTerminals)("a terminal that goes (pseudo-terminals: on Linux only)", { timeout }, () => {
  it.each([
    { ...bar, code: 0 },
    { ...log, code: 0 },
    { ...json, code: 1 },
    { ...quiet, code: 0 },
  ])("leaves the run with $name its clip and exits with $code", async ({ name, args, env, code }) => {
    const terminal = openPseudoTerminal();
    const { descriptor } = terminal;
    const outcome = await expectClip(
      { args: [...args, "--steps", "30"], env },
      { stdio: [descriptor, descriptor, descriptor], detached: true },
      async () => {
        if (name !== quiet.name) await expect.poll(terminal.text, { timeout }).toMatch(/30 steps|"start"/);
        terminal.close();
      },
    );
    expect(outcome).toMatchObject({ code, signal: null });
  });
});

describe.skipIf(!existsSync("/dev/full"))("a full disk (there is no /dev/full)", { timeout }, () => {
  it.each([
    { ...log, code: 1 },
    { ...json, code: 1 },
    { ...quiet, code: 0 },
  ])("under both streams leaves the run with $name its clip and exits with $code", async ({ code, ...run }) => {
    const full = opened("/dev/full", "w");
    expect(await expectClip(run, { stdio: ["ignore", full, full] })).toMatchObject({ code, signal: null });
  });

  it("under stderr leaves a run its results", async () => {
    const stdio = ["ignore", "pipe", opened("/dev/full", "w")] as const;
    const { code, stdout } = await expectClip(log, { stdio: [...stdio] });
    expect([code, stdout]).toEqual([0, "clip.mp4\n"]);
  });

  it.each([
    [["plan", picture, "--model", checkpoint]],
    [["inspect", checkpoint]],
    [["models", "--json"]],
    [["doctor"]],
    [["--help"]],
  ])("is exit code 1 and one line of %j", async (args) => {
    const env = { HF_HUB_CACHE: await scratchFolder() };
    const { code, stderr } = await stillmotion(args, { env, stdio: ["ignore", opened("/dev/full", "w"), "pipe"] });
    expect(stderr.trimEnd()).toMatch(lost);
    expect(code).toBe(1);
  });

  it("does not hide why a command failed", async () => {
    const args = ["inspect", "missing.mp4", "--json"];
    const { code, stderr } = await stillmotion(args, { stdio: ["ignore", opened("/dev/full", "w"), "pipe"] });
    const [reason, loss] = stderr.split("\n");
    expect(reason).toMatch(/^error: .*missing\.mp4/);
    expect(loss).toMatch(lost);
    expect(code).toBe(1);
  });
});

describe.skipIf(process.platform === "win32")(
  "a file that may grow no longer (bounds are set by a shell)",
  { timeout },
  () => {
    it("is exit code 1 where a part of the result fits", async () => {
      const file = join(await scratchFolder(), "inspection.json");
      const { code, stderr } = await stillmotion(["inspect", checkpoint, "--json"], {
        through: withoutRoom,
        stdio: ["ignore", opened(file, "w"), "pipe"],
      });
      expect(readFileSync(file).length).toBeGreaterThan(0);
      expect(stderr.trimEnd()).toMatch(lost);
      expect(code).toBe(1);
    });

    it("has later lines on lines of their own", async () => {
      const file = join(await scratchFolder(), "lines.json");
      const terminal = pathToFileURL(resolve("src/cli/terminal.ts")).href;
      const program = `
      import { ftruncateSync } from "node:fs";
      import { setImmediate } from "node:timers/promises";
      import { printJson, printJsonProgress, surviveFailedWrites } from ${JSON.stringify(terminal)};
      surviveFailedWrites();
      printJsonProgress({ long: "x".repeat(5000) });
      await setImmediate();
      ftruncateSync(1, 100);
      printJson({ short: 1 });`;
      const [shell, ...words] = [...withoutRoom, process.execPath, "--input-type=module", "-e", program];
      spawnSync(shell!, words, { stdio: ["ignore", opened(file, "a"), "inherit"] });
      expect(readFileSync(file, "utf8").split("\n").slice(1)).toEqual(['{"short":1}', ""]);
    });
  },
);

describe("a reader that has gone away", { timeout }, () => {
  it.each([log, json])("is no failure of a run with $name", async (run) => {
    const outcome = await expectClip(run, {}, ({ child }) => {
      child.stdout!.destroy();
      child.stderr!.destroy();
    });
    expect(outcome).toMatchObject({ code: 0, signal: null });
  });

  it("is no failure of other commands", async () => {
    const { child, outcome } = start(["inspect", checkpoint]);
    child.stdout!.destroy();
    expect(await outcome).toMatchObject({ code: 0, stderr: "" });
  });
});

describe("streams that cannot be written", { timeout }, () => {
  it.skipIf(process.platform === "win32")("leave a run its clip where a shell has closed them", async () => {
    const outcome = await expectClip(log, { through: ["sh", "-c", 'exec "$0" "$@" >&- 2>&-'] });
    expect(outcome).toEqual({ code: 0, signal: null, stdout: "", stderr: "" });
  });

  it("leave a run its clip where they can only be read", async () => {
    const file = opened(picture, "r");
    expect(await expectClip(log, { stdio: ["ignore", file, file] })).toMatchObject({ code: 1, signal: null });
  });
});
