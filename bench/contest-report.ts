/** How does a contest read: every side's times and memory, and how many times as fast we are as each opponent? */
import { bytesText } from "../src/byte-sizes.ts";
import type { Outcome } from "./contest.ts";
import { type Measurement, median } from "./measurement.ts";
import { markdownTable, seconds } from "./report.ts";

/** Of each side's processes, which figures are compared? */
export type Times = (measurement: Measurement) => readonly number[];
export const runTimes: Times = ({ runSeconds }) => runSeconds;

/** A line for each side. @param run what one run is called, such as "step" */
export function contestTable(outcomes: readonly Outcome[], run: string): string {
  const header = [
    ...["side", "load, median", "first, longest", `${run}, median`, `${run}, minimum`, "processor time, minimum"],
    ...["peak memory", "difference"],
  ];
  const rows = outcomes.map(({ name, isFirst, measurements, difference, tolerance }) => {
    const runs = measurements.flatMap(runTimes);
    return [
      name,
      seconds(median(measurements.map(({ loadSeconds }) => loadSeconds))),
      seconds(Math.max(...measurements.map(({ warmUpSeconds }) => warmUpSeconds))),
      seconds(median(runs)),
      seconds(Math.min(...runs)),
      seconds(Math.min(...measurements.flatMap(({ runCpuSeconds }) => runCpuSeconds))),
      bytesText(Math.max(...measurements.map(({ peakBytes }) => peakBytes)), 2),
      isFirst ? "" : `${difference.toExponential(1)} of ${tolerance?.toExponential(0)}`,
    ];
  });
  return markdownTable([header, ...rows]);
}

/** How many times as long each opponent takes as each of ours, by median and, in brackets, by minimum. */
export function ratioTable(outcomes: readonly Outcome[], times: Times = runTimes): string {
  const [ours, theirs] = [true, false].map((isOurs) => outcomes.filter(({ name }) => isStillmotion(name) === isOurs));
  const header = ["times as fast as", ...theirs!.map(({ name }) => name)];
  const rows = ours!.map((our) => {
    const cells = theirs!.map((their) => {
      const [byMedian, byMinimum] = ratios(their.measurements, our.measurements, times);
      return `${byMedian.toFixed(2)} (${byMinimum.toFixed(2)})`;
    });
    return [our.name, ...cells];
  });
  return markdownTable([header, ...rows]);
}

/** How many times as long the first takes as the second: by median, by minimum. */
export function ratios(
  theirs: readonly Measurement[],
  ours: readonly Measurement[],
  times: Times,
): [byMedian: number, byMinimum: number] {
  const [their, our] = [theirs.flatMap(times), ours.flatMap(times)];
  return [median(their) / median(our), Math.min(...their) / Math.min(...our)];
}

function isStillmotion(name: string): boolean {
  return name.startsWith("stillmotion");
}
