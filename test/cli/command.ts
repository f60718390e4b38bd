/**
 * How do the tests call the command? As its own process, as a person does, or in this process where only its words matter.
 *
 * Golden: python -m reference.golden pipeline (reference/golden/pipeline.py), diffusers 0.42.1
 */
import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { onTestFinished, vi } from "vitest";
import { run } from "../../src/cli/run.ts";

export const checkpoint = resolve("test/checkpoints/two-levels-fp32");
export const picture = resolve("test/pipeline/golden/landscape.png");
export const otherPicture = resolve("test/pipeline/golden/harbour.png");

/** The smallest clip. */
export const small = ["--model", checkpoint, "--width", "64", "--height", "64", "--frames", "2", "--steps", "1"];

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly outcome: Promise<Outcome>;
}

const program = resolve("src/cli/main.ts");

interface StartOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly nodeArgs?: readonly string[];
  readonly cwd?: string;
  /** A program that is called with the command, such as `nohup`. */
  readonly through?: readonly string[];
  readonly stdio?: StdioOptions;
  /** In a session of its own, away from the terminal of whoever runs the tests. */
  readonly detached?: boolean;
}

/** Starts `stillmotion` from source. */
export function start(
  args: readonly string[],
  { env = {}, nodeArgs = [], cwd = ".", through = [], stdio = ["ignore", "pipe", "pipe"], detached }: StartOptions = {},
): Running {
  const [command, ...words] = [...through, process.execPath, ...nodeArgs, program, ...args];
  const child = spawn(command!, words, {
    cwd,
    env: { ...process.env, NO_COLOR: undefined, ...env },
    stdio,
    detached: detached ?? false,
  });
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (data) => {
    stdout += data;
  });
  child.stderr?.on("data", (data) => {
    stderr += data;
  });
  const outcome = new Promise<Outcome>((done, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => done({ code, signal, stdout, stderr }));
  });
  return { child, outcome };
}

/** Runs `stillmotion` from source to its end. */
export function stillmotion(args: readonly string[], options: Parameters<typeof start>[1] = {}): Promise<Outcome> {
  return start(args, options).outcome;
}

/** The same in this process: faster, for calls that end early. */
export async function stillmotionHere(args: readonly string[]): Promise<Omit<Outcome, "signal">> {
  let [stdout, stderr] = ["", ""];
  const out = vi.spyOn(process.stdout, "write").mockImplementation((text, ...rest: unknown[]) => {
    stdout += text;
    for (const written of rest) if (typeof written === "function") written();
    return true;
  });
  const err = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    stderr += text;
    return true;
  });
  try {
    return { code: await run(args), stdout, stderr };
  } finally {
    out.mockRestore();
    err.mockRestore();
  }
}

/** A folder of its own for the running test. */
export async function scratchFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "stillmotion-cli-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}
