/** On which machine was it, with which versions, when and how? What every section ends with. */
import { existsSync, readFileSync } from "node:fs";
import { cpus, loadavg, totalmem, type } from "node:os";
import { bytesText } from "../src/byte-sizes.ts";
import type { Measurement } from "./measurement.ts";
import type { BenchOptions } from "./options.ts";

/** Those that decide how fast low precision is. */
const instructionSets = ["avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"];

/** With the load average of the last quarter of an hour: well above the threads in use, other work disturbed the times. */
export function circumstances(
  { threads, command }: Pick<BenchOptions, "threads" | "command">,
  outcomes: readonly { measurements: readonly Pick<Measurement, "versions">[] }[],
): string {
  const [first, ...others] = cpus();
  const machine = [
    [first?.model.trim(), ...cpuFlags()].join(" "),
    `${others.length + 1} processors`,
    bytesText(totalmem(), 2),
    type(),
    `load average ${loadavg()[2]!.toFixed(1)}`,
  ];
  const versions = Object.assign({}, ...outcomes.flatMap((each) => each.measurements.map((one) => one.versions)));
  return `${machine.join(", ")}, ${threads} threads; ${Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(", ")}.
${new Date().toISOString().slice(0, 10)}: \`${command}\`
`;
}

/** Linux tells which instruction sets the processor has. */
function cpuFlags(): string[] {
  if (!existsSync("/proc/cpuinfo")) return [];
  const flags = /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]?.split(" ") ?? [];
  return instructionSets.filter((name) => flags.includes(name));
}
