import { expect, it } from "vitest";
import type { Outcome } from "../../bench/contest.ts";
import { contestTable, ratios, ratioTable } from "../../bench/contest-report.ts";
import type { Measurement } from "../../bench/measurement.ts";

function measurement(runSeconds: readonly number[], others: Partial<Measurement> = {}): Measurement {
  const same = { loadSeconds: 2, warmUpSeconds: 3, runCpuSeconds: runSeconds.map((each) => 2 * each), versions: {} };
  return { ...same, peakBytes: 1e9, runSeconds, ...others };
}

function outcome(name: string, ...measurements: Measurement[]): Outcome {
  const isFirst = name === "diffusers eager fp32";
  return { name, isFirst, measurements, difference: 2e-6, tolerance: 1e-4, results: {} };
}

const theirs = outcome("diffusers eager fp32", measurement([8, 6]), measurement([10], { warmUpSeconds: 40 }));
const bf16 = outcome("diffusers eager bf16", measurement([2]));
const ours = outcome("stillmotion fp32", measurement([4]), measurement([5, 3], { peakBytes: 2.25e9, loadSeconds: 4 }));

it("ratios are those of all processes' runs together", () => {
  expect(ratios(theirs.measurements, ours.measurements, ({ runSeconds }) => runSeconds)).toEqual([2, 2]);
  expect(ratios(theirs.measurements, ours.measurements, ({ loadSeconds }) => [loadSeconds])).toEqual([2 / 3, 1]);
});

it("each of ours is compared with each opponent", () => {
  const lines = ratioTable([theirs, bf16, ours]).split("\n");
  expect(lines[0]).toContain("diffusers eager fp32 | diffusers eager bf16");
  expect(lines.slice(2)).toEqual(["| stillmotion fp32 | 2.00 (2.00)          | 0.50 (0.67)          |"]);
});

it("a side's line has its longest first run, its fastest run and its highest memory", () => {
  const cells = contestTable([theirs, ours], "step")
    .split("\n")
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  expect(cells[0]!.slice(3, 5)).toEqual(["step, median", "step, minimum"]);
  expect(cells[2]).toEqual(["diffusers eager fp32", "2.00 s", "40.0 s", "8.00 s", "6.00 s", "12.0 s", "1.00 GB", ""]);
  expect(cells[3]!.slice(1)).toEqual(["3.00 s", "3.00 s", "4.00 s", "3.00 s", "6.00 s", "2.25 GB", "2.0e-6 of 1e-4"]);
});
