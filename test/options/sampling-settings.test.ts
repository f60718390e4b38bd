/** Are the options of sampling checked against the sampler, and what does a preset mean for another sampler? */
import { describe, expect, it } from "vitest";
import { StillmotionError } from "../../src/errors.ts";
import type { GenerateSettings } from "../../src/options/generate-options.ts";
import { valueFromText } from "../../src/options/option-text.ts";
import { resolveSettings } from "../../src/options/resolve-settings.ts";

const size = { width: 1024, height: 576, numFrames: 25 };
const svdXt: GenerateSettings = { numInferenceSteps: 30, minGuidanceScale: 1.5, maxGuidanceScale: 3, fps: 9 };

function resolved(given: Record<string, unknown>, preset: GenerateSettings = {}) {
  return resolveSettings(given, { ...size, preset }).settings;
}

describe("what does not fit the sampler", () => {
  it.each([
    [{ scheduler: "eulr" }, 'generate: scheduler is "eulr", expected euler, heun, dpmpp-2m, animate-lcm'],
    [
      { sigmas: "kerras" },
      'generate: sigmas is "kerras", expected karras, ays or a list of 2 or more, each a number of 0 or more',
    ],
    [
      { scheduler: "dpmpp-2m", sChurn: 4 },
      "generate: sChurn is 4, but dpmpp-2m has no churn; leave it out, or use euler or heun",
    ],
    [
      { scheduler: "animate-lcm", s_noise: 1 },
      "generate: sNoise is 1, but animate-lcm has no churn; leave it out, or use euler or heun",
    ],
    [{ sTmin: 0.05 }, "generate: sTmin is 0.05 without sChurn, whose noise it shapes; give both or none"],
    [
      { scheduler: "heun", sChurn: 4, sTmin: 5, sTmax: 1 },
      "generate: sTmin is 5 and sTmax 1, expected sTmin to be the smaller",
    ],
    [
      { guidanceInterval: [3, 2] },
      "generate: guidanceInterval is [3, 2], expected the first noise level to be the smaller",
    ],
    [
      { guidanceInterval: [2, 2] },
      "generate: guidanceInterval is [2, 2], expected the first noise level to be the smaller",
    ],
    [
      { guidanceInterval: [0, 2], maxGuidanceScale: 1 },
      "generate: guidanceInterval is [0, 2], but no guidance scale is above 1, so that nothing is guided; leave it out, or raise maxGuidanceScale",
    ],
    [
      { guidanceInterval: [0, 2], numFrames: 1 },
      "generate: guidanceInterval is [0, 2], but no guidance scale is above 1, so that nothing is guided; leave it out, or raise maxGuidanceScale",
    ],
    [{ sChurn: -1 }, "generate: sChurn is -1, expected a number from 0 to 1000"],
    [
      { scheduler: "animate-lcm", numInferenceSteps: 25 },
      "generate: numInferenceSteps is 25, expected 1 to 8 for animate-lcm",
    ],
  ])("%o", (given, expected) =>
    expect(() => resolved(given)).toThrow(new StillmotionError("invalid-option", expected)),
  );

  it("is the preset's fault where the preset says it", () => {
    expect(() => resolved({}, { scheduler: "dpmpp-2m", sChurn: 4 })).toThrow(/^preset.json: sChurn is 4, but dpmpp-2m/);
    expect(() => resolved({}, { guidanceInterval: [2, 1] })).toThrow(
      /^preset.json: guidanceInterval is \[2, 1\], expec/,
    );
  });
});

describe("what is in force", () => {
  it("is four steps without guidance for AnimateLCM, unless the caller says otherwise", () => {
    const own = { numInferenceSteps: 4, minGuidanceScale: 1, maxGuidanceScale: 1 };
    expect(resolved({ scheduler: "animate-lcm" })).toMatchObject(own);
    expect(resolved({ scheduler: "animate-lcm" }, svdXt)).toMatchObject({ ...own, fps: 9 });
    expect(resolved({ scheduler: "animate-lcm", steps: undefined, maxGuidanceScale: 1.2 }, svdXt)).toMatchObject({
      ...own,
      maxGuidanceScale: 1.2,
    });
    expect(resolved({ scheduler: "animate-lcm", numInferenceSteps: 8 }).numInferenceSteps).toBe(8);
  });

  it("is what a preset made for that sampler says", () => {
    const preset = { scheduler: "animate-lcm", numInferenceSteps: 6, maxGuidanceScale: 1.2 } as const;
    expect(resolved({}, preset)).toMatchObject({ ...preset, minGuidanceScale: 1 });
  });

  it("keeps a preset's steps and guidance for the samplers that solve the same equation", () => {
    expect(resolved({ scheduler: "dpmpp-2m" }, svdXt)).toMatchObject(svdXt);
  });

  it("leaves a preset's churn to the samplers that have it, and its noise levels to its own sampler", () => {
    const preset = { sigmas: "ays", sChurn: 4 } as const;
    expect(resolved({ scheduler: "heun" }, preset)).toMatchObject(preset);
    expect(resolved({ scheduler: "dpmpp-2m" }, preset)).toMatchObject({ sigmas: "ays" });
    expect(resolved({ scheduler: "dpmpp-2m" }, preset)).not.toHaveProperty("sChurn");
    expect(resolved({ scheduler: "animate-lcm" }, preset).sigmas).toBeUndefined();
  });

  it("has a number of steps beside the name of a spacing, none beside a list of levels", () => {
    expect(resolved({ sigmas: "ays", numInferenceSteps: 7 })).toMatchObject({ sigmas: "ays", numInferenceSteps: 7 });
    expect(resolved({ numInferenceSteps: 7 }, { sigmas: "ays" })).toMatchObject({
      sigmas: "ays",
      numInferenceSteps: 7,
    });
    expect(resolved({ sigmas: "karras" }, { sigmas: [9, 0] })).toMatchObject({
      sigmas: "karras",
      numInferenceSteps: 25,
    });
    expect(resolved({ numInferenceSteps: 7 }, { sigmas: [9, 0] }).sigmas).toBeUndefined();
  });

  it("keeps a preset's interval for guidance unless guidance is turned off", () => {
    const preset: GenerateSettings = { guidanceInterval: [0, 9] };
    expect(resolved({}, preset).guidanceInterval).toEqual([0, 9]);
    expect(resolved({ guidanceInterval: [1, 2] }, preset).guidanceInterval).toEqual([1, 2]);
    expect(resolved({ maxGuidanceScale: 1 }, preset)).not.toHaveProperty("guidanceInterval");
    expect(resolved({ scheduler: "animate-lcm" }, preset)).not.toHaveProperty("guidanceInterval");
  });

  it("is accepted again as it is", () => {
    for (const given of [
      { guidanceInterval: [0.5, 20], cacheInterval: 3, chunkFeedForward: 4 },
      { scheduler: "animate-lcm" },
      { scheduler: "heun", sChurn: 4, sTmax: 50 },
      { sigmas: "ays" },
    ]) {
      const settings = resolved({ ...given, seed: 1 }, svdXt);
      expect(resolved(settings, svdXt)).toEqual(settings);
    }
  });
});

describe("text", () => {
  it.each([
    ["sigmas", "ays", "ays"],
    ["sigmas", "700,1,0", [700, 1, 0]],
    ["scheduler", "animate-lcm", "animate-lcm"],
    ["sChurn", "2.5", 2.5],
    ["guidanceInterval", "0.5,20", [0.5, 20]],
    ["guidanceInterval", "20", [20]],
  ] as const)("%s %s", (name, text, value) => expect(valueFromText(name, text)).toEqual(value));
});
