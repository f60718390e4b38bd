import { readdir } from "node:fs/promises";
import { expect, it } from "vitest";
import { checkpoint, jsonLines, picture, scratchFolder, start } from "./command.ts";

/** Long enough to be stopped in the middle. */
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
] as const)("stops on %s within a second, leaves nothing and exits with %d", async (name, code) => {
  const folder = await scratchFolder();
  const { child, outcome } = await startDenoising(folder);
  const startMs = performance.now();
  child.kill(name);
  const { stdout, ...end } = await outcome;
  expect(performance.now() - startMs).toBeLessThan(1000);
  expect(end).toEqual({ code, signal: null, stderr: "" });
  expect(jsonLines(stdout).at(-1)).toEqual({ event: "error", code: "aborted", message: `stopped by ${name}` });
  expect(await readdir(folder)).toEqual([]);
});

it("ends at once on the second Ctrl-C", async () => {
  const folder = await scratchFolder();
  const { child, outcome } = await startDenoising(folder);
  child.kill("SIGINT");
  await new Promise((resolve) => setTimeout(resolve, 5));
  child.kill("SIGINT");
  const { code, signal } = await outcome;
  expect([code, signal]).toContainEqual(code === 130 ? 130 : "SIGINT");
  expect(await readdir(folder)).toEqual([]);
});
