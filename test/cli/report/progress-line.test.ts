import { describe, expect, it } from "vitest";
import { progressLine } from "../../../src/cli/report/progress-line.ts";
import { stageClock } from "../../../src/cli/report/stage-clock.ts";

function clockAt() {
  const time = { ms: 0 };
  return { clock: stageClock(() => time.ms), time };
}

/** Ten of 25 steps of two seconds are done, and half a second has passed since. */
function inTheMiddle() {
  const { clock, time } = clockAt();
  clock.take({ stage: "unet", state: "loading" });
  time.ms = 3000;
  clock.take({ stage: "unet", state: "running", done: 0, total: 25 });
  for (let done = 1; done <= 10; done++) {
    time.ms += 2000;
    clock.take({ stage: "unet", state: "running", done, total: 25 });
  }
  time.ms += 500;
  return clock.times()!;
}

describe("stageClock", () => {
  it("measures parts without the loading before them, and what is left from now on", () => {
    expect(inTheMiddle()).toMatchObject({
      done: 10,
      total: 25,
      secondsPerPart: 2,
      secondsLeft: 29.5,
      elapsedSeconds: 23.5,
    });
  });

  it("knows no time of a part before one is done", () => {
    const { clock } = clockAt();
    expect(clock.times()).toBeUndefined();
    clock.take({ stage: "vae decoder", state: "running", done: 0, total: 14 });
    expect(clock.times()).toMatchObject({ secondsPerPart: undefined, secondsLeft: undefined });
  });
});

describe("progressLine", () => {
  it.each([
    [100, "denoising      ████████████████░░░░░░░░░░░░░░░░░░░░░░░░  step 10/25  30 s left  2.0 s a step"],
    [80, "denoising      ██████████░░░░░░░░░░░░░░░░░  step 10/25  30 s left  2.0 s a step"],
    [60, "denoising      ████████░░░░░░░░░░░░░  step 10/25  30 s left"],
    [40, "denoising      ████░░░░░░░░  step 10/25"],
    [30, "denoising step 10/25"],
    [12, "denoising s"],
  ])("fits into %d columns", (columns, line) => {
    expect(progressLine(inTheMiddle(), columns)).toBe(line);
    expect(line.length).toBeLessThan(columns);
  });

  it("says that a network is loading, and for how long", () => {
    const { clock, time } = clockAt();
    clock.take({ stage: "vae decoder", state: "loading" });
    expect(progressLine(clock.times()!, 80)).toBe("decoding       loading");
    time.ms = 12_300;
    expect(progressLine(clock.times()!, 80)).toBe("decoding       loading, 12 s");
  });

  it("shows that the first step goes on", () => {
    const { clock, time } = clockAt();
    clock.take({ stage: "unet", state: "running", done: 0, total: 4 });
    time.ms = 5000;
    expect(progressLine(clock.times()!, 50)).toBe("denoising      ░░░░░░░░░░  step 0/4  5.0 s so far");
  });
});
