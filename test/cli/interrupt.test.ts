import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, it } from "vitest";
import { checkpoint, jsonLines, picture, scratchFolder, start } from "./command.ts";

/** Minutes of work: what waits for its end does not pass. */
const long = ["--model", checkpoint, "--width", "128", "--height", "128", "--frames", "4", "--steps", "1000"];

/** Starts a run that reports events, and waits until its UNet works. */
async function startDenoising(folder: string) {
  const running = start(["generate", picture, "-o", "clip.mp4", ...long, "--json"], { cwd: folder });
  const { promise, resolve } = Promise.withResolvers<void>();
  let seen = "";
  running.child.stdout!.on("data", (data) => {
    seen += data;
    if (seen.includes('"stage":"unet","part"')) resolve();
  });
  await promise;
  return running;
}

it.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("stops on %s in the middle of its steps, leaves nothing and exits with %d", async (name, code) => {
  const folder = await scratchFolder();
  const { child, outcome } = await startDenoising(folder);
  child.kill(name);
  const { stdout, ...end } = await outcome;
  expect(end).toEqual({ code, signal: null, stderr: "" });
  expect(jsonLines(stdout).at(-1)).toEqual({ event: "error", code: "aborted", message: `stopped by ${name}` });
  expect(await readdir(folder)).toEqual([]);
});

/**
 * Takes the signals, and once one has come waits for a byte on stdin, during which no handler and no timer runs: what ends it
 * then is the system.
 */
async function startAsked(name: NodeJS.Signals) {
  const interrupt = pathToFileURL(resolve("src/cli/interrupt.ts")).href;
  const program = `
    import { readSync, writeSync } from "node:fs";
    import { onInterrupt } from ${JSON.stringify(interrupt)};
    const interrupt = onInterrupt();
    interrupt.signal.addEventListener("abort", () => setImmediate(() => {
      writeSync(1, "asked");
      readSync(0, Buffer.alloc(1));
      process.exit(interrupt.exitCode());
    }));
    setInterval(() => {}, 1000);
    writeSync(1, "ready");`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["pipe", "pipe", "inherit"] });
  const outcome = once(child, "exit");
  const [ready] = await once(child.stdout, "data");
  expect(String(ready)).toBe("ready");
  child.kill(name);
  const [asked] = await once(child.stdout, "data");
  expect(String(asked)).toBe("asked");
  return { child, outcome };
}

it.each(["SIGINT", "SIGTERM"] as const)("ends at once on the second %s", async (name) => {
  const { child, outcome } = await startAsked(name);
  child.kill(name);
  child.stdin.end("x"); // one that were ignored would let it go on to here
  expect(await outcome).toEqual([null, name]);
});

it("takes the second SIGHUP, which a terminal sends as it goes, for the first", async () => {
  const { child, outcome } = await startAsked("SIGHUP");
  child.kill("SIGHUP");
  child.stdin.end("x");
  expect(await outcome).toEqual([129, null]);
});
