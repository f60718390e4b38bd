import { expect, it } from "vitest";
import { gatherClipStatistics } from "../../src/streaming/clip-statistics.ts";

/** Mean and population variance of numbers, in float64. */
function statisticsOf(values: readonly number[]): { mean: number; variance: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length };
}

it.each([0, 1000])("merges frames into a clip, with means near %d", (centre) => {
  const frames = 5;
  const groups = 3;
  const values = Array.from({ length: frames }, (_, frame) =>
    Array.from({ length: groups }, (_, group) =>
      Array.from({ length: 40 }, (_, i) => centre + group + Math.sin(7 * i + frame) * (1 + group) + 3 * frame),
    ),
  );
  const statistics = gatherClipStatistics(groups);
  for (const window of [values.slice(0, 2), values.slice(2)]) {
    const perGroup = window.flat().map(statisticsOf);
    statistics.add(
      Float32Array.from(perGroup, ({ mean }) => mean),
      Float32Array.from(perGroup, ({ variance }) => variance),
    );
  }
  const { mean, inverseDeviation } = statistics.merge(1e-5);
  for (let group = 0; group < groups; group++) {
    const expected = statisticsOf(values.flatMap((frame) => frame[group]!));
    expect(Math.abs(mean.data[group]! / expected.mean - 1)).toBeLessThan(1e-6);
    expect(inverseDeviation.data[group]! * Math.sqrt(expected.variance + 1e-5)).toBeCloseTo(1, 4);
  }
  expect(mean.shape).toEqual([1, groups]);
});

it("adds eps to the variance, so that a flat map stays finite", () => {
  const statistics = gatherClipStatistics(1);
  statistics.add(Float32Array.of(2, 2), Float32Array.of(0, 0));
  expect(statistics.merge(1e-4).inverseDeviation.data[0]).toBeCloseTo(100);
});
