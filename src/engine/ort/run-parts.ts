/** How does a model run, of one graph or of several in turn? What earlier graphs give is handed on where it lies. */
import { StillmotionError } from "../../errors.ts";
import { emptyBuffer } from "../../tensor.ts";
import type { Handle } from "./api.ts";
import type { KeptValue, NativeSession, RunAnswer, RunRequest, WireTensor } from "./messages.ts";
import { type Runtime, runInPlace } from "./session.ts";
import { copyOfValue, emptyValue, readTensor, typeOfOutput, typeOfValue } from "./values.ts";

/**
 * Runs a model once and copies what it made, but for outputs that have a place or are kept. The inputs are empty afterwards.
 *
 * @param parts the graphs that the model consists of, each of which may read what earlier ones give
 * @param keptMemory where kept outputs lie, as `OrtMemoryInfo`; absent for the host's memory, in which they are blocks of their own:
 *   a workspace may end before them
 */
export function runParts(
  runtime: Runtime,
  parts: readonly NativeSession[],
  { inputs, placed, values, keep = [], runOptions }: Omit<RunRequest, "kind" | "session">,
  keptMemory?: Handle,
): RunAnswer {
  const { api, memoryInfo } = runtime;
  const given = Object.entries(inputs).map(([input, { buffer, ...tensor }]) => {
    return [input, { ...tensor, memory: new Uint8Array(buffer) }] as const;
  });
  const made: Record<string, WireTensor> = {};
  const kept = new Map<string, Handle>();
  const handedOn = new Map<string, Handle>();
  const readFrom = (part: number) => new Set(parts.slice(part).flatMap(({ inputNames }) => inputNames));
  try {
    const tensors = { ...Object.fromEntries(given), ...placed, ...values };
    assertNamesOf(parts, tensors, keep);
    for (const [index, part] of parts.entries()) {
      const readLater = readFrom(index + 1);
      const staying = part.outputNames.filter((output) => keep.includes(output));
      if (keptMemory === undefined) {
        for (const output of staying) {
          const type = typeOfOutput(api, part.handle, part.outputNames.indexOf(output), output);
          if (type) kept.set(output, emptyValue(api, type));
        }
      }
      const names = [...part.inputNames, ...part.outputNames];
      const own = names.map((name) => [name, tensors[name] ?? handedOn.get(name) ?? kept.get(name)] as const);
      const take = (output: string, value: Handle) => {
        if (readLater.has(output)) handedOn.set(output, value);
        else if (!staying.includes(output)) made[output] = readTensor(api, output, value);
        else kept.set(output, keptMemory === undefined ? copyOfValue(api, output, value) : value);
        return handedOn.get(output) === value || kept.get(output) === value;
      };
      const memoryOf =
        keptMemory !== undefined && staying.length > 0
          ? (output: string) => (staying.includes(output) ? keptMemory : memoryInfo)
          : undefined;
      runInPlace(runtime, part, Object.fromEntries(own), { runOptions, take, memoryOf });
      for (const [name, value] of handedOn) {
        if (readLater.has(name)) continue;
        handedOn.delete(name);
        api.ReleaseValue(value);
      }
    }
    const described = Array.from(kept, ([output, value]): [string, KeptValue] => {
      return [output, { ...typeOfValue(api, output, value), value }];
    });
    return { tensors: made, kept: Object.fromEntries(described) };
  } catch (error) {
    for (const value of kept.values()) api.ReleaseValue(value);
    throw error;
  } finally {
    for (const value of handedOn.values()) api.ReleaseValue(value);
    for (const { buffer } of Object.values(inputs)) emptyBuffer(buffer);
  }
}

/** All inputs that no part makes must be there, and nothing that is no input or result. */
function assertNamesOf(
  parts: readonly NativeSession[],
  tensors: Readonly<Record<string, unknown>>,
  keep: readonly string[],
): void {
  const { name } = parts[0]!;
  const [read, made] = [
    new Set(parts.flatMap(({ inputNames }) => inputNames)),
    new Set(parts.flatMap(({ outputNames }) => outputNames)),
  ];
  const inputs = [...read].filter((each) => !made.has(each));
  const results = [...made].filter((each) => !read.has(each));
  const missing = inputs.filter((input) => tensors[input] === undefined);
  if (missing.length > 0) throw new StillmotionError("internal", `${name}: no value for input ${missing.join(", ")}`);
  const names = [...inputs, ...results];
  const unknown = Object.keys(tensors).filter((tensor) => !names.includes(tensor));
  if (unknown.length > 0) {
    const problem = `${name}: nothing is called ${unknown.join(", ")}, there are ${names.join(", ")}`;
    throw new StillmotionError("internal", problem);
  }
  const lost = keep.filter((output) => !results.includes(output) || tensors[output] !== undefined);
  if (lost.length === 0) return;
  const free = results.filter((output) => tensors[output] === undefined);
  const problem = `${name}: ${lost.join(", ")} cannot be kept, expected outputs that have no place: ${free.join(", ")}`;
  throw new StillmotionError("internal", problem);
}
