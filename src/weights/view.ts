/** Which tensor does a layer read? A view is a path into one component's weights, so the module path is the tensor's name. */
import { StillmotionError } from "../errors.ts";
import { printable } from "../printable.ts";
import { bytesPerElement, elementCount, floatingPoint, sameShape } from "../tensor.ts";
import type { Component, LowRankProduct, WeightEntry } from "./types.ts";

/** A tensor, or rows of one, that stays in its file. A lowering that reads it must add its `additions`. */
export type Weight = WeightEntry;

/** A path into the weights of one component. */
export interface Weights {
  readonly path: string;
  /** The view one step further down: `w.at("resnets").at(0)` or `w.at("resnets.0")`. */
  at(step: string | number): Weights;
  /** True when a tensor lies at or below `step`. */
  has(step: string): boolean;
  /** The tensor at `step`, whose shape must be the one given. */
  tensor(step: string, shape: readonly number[]): Weight;
  /** Accounts for every tensor below `step` that the mathematics shows to be without effect. */
  withoutEffect(step: string): void;
}

/** The root view of a component and the check that ends its loading. */
export interface WeightsReader {
  readonly weights: Weights;
  /** The names of the tensors that no layer asked for, as they may be shown. */
  unused(): string[];
  /** Throws when there are such tensors. */
  assertAllUsed(): void;
}

const adviceOnConfig = "is this the checkpoint's own config.json?";

/**
 * @param onMismatch hears of each tensor that is missing, or of another shape or dtype than a layer wants, which then gets
 *   a tensor as it wants it: for a list of all problems. Default: the first one is thrown.
 */
export function readWeights(
  component: Pick<Component, "name" | "tensors" | "configFrom">,
  onMismatch?: (problem: string) => void,
): WeightsReader {
  const { name, tensors, configFrom } = component;
  const refuse = onMismatch ?? throwMismatch;
  const used = new Set<string>();

  function view(path: string): Weights {
    const full = (step: string | number) => (path === "" ? String(step) : `${path}.${step}`);
    return {
      path,
      at: (step) => view(full(step)),
      has: (step) => [...tensors.keys()].some((key) => isAtOrBelow(full(step), key)),
      tensor(step, shape) {
        const wanted = full(step);
        const entry = tensors.get(wanted);
        if (entry) used.add(wanted);
        const problem = problemOf(entry, shape);
        if (entry && problem === undefined) return { ...entry, name: wanted };
        refuse(`${wanted} ${problem}`);
        const sizeBytes = elementCount(shape) * bytesPerElement.float32;
        return { name: wanted, dtype: "float32", shape, file: "", offset: 0, sizeBytes };
      },
      withoutEffect(step) {
        for (const key of tensors.keys()) if (isAtOrBelow(full(step), key)) used.add(key);
      },
    };
  }

  function throwMismatch(problem: string): never {
    throw invalid(
      `${problem}; ${configFrom ? `which does not go with the other tensors of ${configFrom}` : adviceOnConfig}`,
    );
  }

  function invalid(problem: string): StillmotionError {
    return new StillmotionError("invalid-checkpoint", `${name}: ${problem}`);
  }

  function unused(): string[] {
    return [...tensors.keys()].filter((key) => !used.has(key)).map(printable);
  }

  return {
    weights: view(""),
    unused,
    assertAllUsed() {
      const names = unused();
      if (names.length === 0) return;
      const shown = names.slice(0, 5).join(", ");
      const rest = names.length > 5 ? ` and ${names.length - 5} more` : "";
      const count = `${names.length} of ${tensors.size} tensors`;
      throw configFrom
        ? invalid(`${count} have no place in the network that the others make in ${configFrom}: ${shown}${rest}`)
        : invalid(
            `${count} have no place in the network that config.json describes: ${shown}${rest}; ${adviceOnConfig}`,
          );
    },
  };
}

/** Why a tensor is not the one that a layer wants; undefined when it is. */
function problemOf(entry: WeightEntry | undefined, shape: readonly number[]): string | undefined {
  if (!entry) return `is missing, expected shape [${shape.join(", ")}]`;
  if (!sameShape(entry.shape, shape)) {
    return `has shape [${entry.shape.join(", ")}], expected [${shape.join(", ")}]`;
  }
  return floatingPoint.includes(entry.dtype)
    ? undefined
    : `has dtype ${entry.dtype}, expected ${floatingPoint.join(", ")}`;
}

/** "a.b.c" lies at or below "a", "a.b" and "a.b.c". */
function isAtOrBelow(path: string, name: string): boolean {
  return name === path || name.startsWith(`${path}.`);
}

/** Rows `start` to `end` (exclusive) of the first axis: still the same bytes of the same file. */
export function rows(weight: Weight, start: number, end: number): Weight {
  if (weight.isTransposed) throw new StillmotionError("internal", `${weight.name} is stored by columns`);
  const shape = weight.shape.with(0, end - start);
  const rowBytes = weight.sizeBytes / weight.shape[0]!;
  return {
    ...weight,
    name: `${weight.name}[${start}:${end}]`,
    shape,
    offset: weight.offset + start * rowBytes,
    sizeBytes: elementCount(shape) * bytesPerElement[weight.dtype],
    ...(weight.scales && { scales: scalesOfRows(weight.scales, start, end) }),
    ...(weight.additions && { additions: weight.additions.map((product) => productRows(product, start, end)) }),
  };
}

/** One scale for all is that of any rows. */
export function scalesOfRows(scales: Float32Array, start: number, end: number): Float32Array {
  return scales.length === 1 ? scales : scales.subarray(start, end);
}

/** The product of rows of `up` is rows of the product. */
function productRows(product: LowRankProduct, start: number, end: number): LowRankProduct {
  const { dtype, shape, data } = product.up;
  const rank = shape[1]!;
  const up = { dtype, shape: [end - start, rank], data: data.subarray(start * rank, end * rank) };
  return { ...product, up };
}

/** The same bytes under another shape of as many elements, with the same outputs where each has a scale. */
export function reshaped(weight: Weight, shape: readonly number[]): Weight {
  const hasOtherRows = weight.scales && weight.scales.length > 1 && weight.scales.length !== shape[0];
  if (weight.isTransposed || hasOtherRows || elementCount(shape) !== elementCount(weight.shape)) {
    throw new StillmotionError("internal", `${weight.name}: [${weight.shape}] cannot be read as [${shape}]`);
  }
  return { ...weight, shape };
}
