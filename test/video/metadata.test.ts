import { describe, expect, it } from "vitest";
import { settingsFromText, settingsToText } from "../../src/video/metadata.ts";
import { expectError } from "./test-clip.ts";

describe("settings as text", () => {
  it("come back as they were, in ASCII on the way", () => {
    const settings = { seed: 42, prompt: 'über 雪 😀 "<&>"', guidance: [1, 3], fit: null, nested: { on: true } };
    const text = settingsToText(settings, 23.976, 14);
    expect(text).toMatch(/^[\x20-\x7e]*$/);
    expect(settingsFromText(text)).toEqual({ settings, fps: 23.976, frames: 14 });
  });

  it("keep large seeds exactly and leave out what is undefined", () => {
    const text = settingsToText({ seed: 2n ** 63n, small: 7n, variant: undefined }, 7, 1);
    expect(settingsFromText(text)?.settings).toEqual({ seed: "9223372036854775808", small: 7 });
  });

  it.each([
    ["a NaN", { steps: Number.NaN }, /metadata\.steps: got NaN, expected what JSON can hold/],
    ["a function", { onStep: () => {} }, /metadata\.onStep: got function/],
    [
      "an object of a class",
      { latents: { data: new Float32Array(2) } },
      /metadata\.latents\.data: got an object of a class/,
    ],
  ])("refuse %s by its path", async (_, settings, message) => {
    await expectError(() => settingsToText(settings, 7, 1), "invalid-option", message);
  });

  it.each([
    undefined,
    "",
    "a holiday film",
    "{}",
    '{"stillmotion":3}',
    '{"stillmotion":',
    '{"stillmotion":{},"fps":-1,"frames":2}',
    '{"stillmotion":{},"fps":7,"frames":"2"}',
  ])("are not found in %j", (text) => {
    expect(settingsFromText(text)).toBeUndefined();
  });
});
