/** Does the engine know how many channels its processor's convolutions work on at once? */
import { readFileSync } from "node:fs";
import { arch, platform } from "node:process";
import { describe, expect, it } from "vitest";
import { testEngine } from "../../support/evaluate.ts";

const engine = testEngine();

describe.runIf(platform === "linux" && arch === "x64")("blocks of channels on Linux", () => {
  it("are as long as the processor's registers", () => {
    const flags = /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))![1]!.split(" ");
    const expected = flags.includes("avx512f") ? 16 : flags.includes("avx") ? 8 : 1;
    expect(engine().channelBlock).toBe(expected);
  });
});
