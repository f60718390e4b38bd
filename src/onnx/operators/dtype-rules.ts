/** Which dtypes may meet in an operator, and which does it give? */
import { bytesPerElement, type DataType } from "../../tensor.ts";

/** A letter stands for one dtype throughout an operator, which is one of these. */
const letters = {
  /** Any. */
  T: Object.keys(bytesPerElement) as DataType[],
  /** Numbers. */
  N: ["float32", "float16", "bfloat16", "int64", "int32", "int8", "uint8"],
  /** Floating-point numbers that are computed with; 8-bit ones are cast first. */
  F: ["float32", "float16", "bfloat16"],
  /** Places on an axis. */
  I: ["int64", "int32"],
} as const satisfies Readonly<Record<string, readonly DataType[]>>;

type Letter = keyof typeof letters;
type DtypeRule = DataType | Letter;

/** What ONNX's operator pages call type constraints. */
export interface Signature {
  readonly name: string;
  /** A rule for each input, also for those that may be absent; `...T` as the last one is for any number of inputs. */
  readonly takes: readonly (DtypeRule | `...${Letter}`)[];
  /** A rule for each result. */
  readonly gives: readonly DtypeRule[];
}

interface Input {
  readonly name: string;
  readonly dtype: DataType;
}

/**
 * The dtype of each result.
 *
 * @param refuse makes the error
 */
export function dtypesGiven(
  { name, takes, gives }: Signature,
  inputs: readonly (Input | undefined)[],
  refuse: (problem: string) => Error,
): DataType[] {
  /** The first input that a letter stands for decides what it is. */
  const decided = new Map<Letter, Input>();
  for (const [index, input] of inputs.entries()) {
    const rule = ruleFor(takes, index);
    if (rule === undefined) throw refuse(`${name} takes ${takes.length} inputs and was given ${inputs.length}`);
    if (input === undefined) continue;
    const able: readonly DataType[] = isLetter(rule) ? letters[rule] : [rule];
    if (!able.includes(input.dtype)) {
      throw refuse(`${name} takes ${able.join(" or ")} as input ${index + 1}, but ${input.name} is ${input.dtype}`);
    }
    if (!isLetter(rule)) continue;
    const first = decided.get(rule) ?? input;
    if (first.dtype !== input.dtype) {
      const mixed = `${first.name} is ${first.dtype} and ${input.name} is ${input.dtype}`;
      throw refuse(`${name} takes inputs of one dtype, but ${mixed}; cast one of them`);
    }
    decided.set(rule, first);
  }
  return gives.map((rule) => {
    if (!isLetter(rule)) return rule;
    const first = decided.get(rule);
    if (first === undefined) throw refuse(`${name} was given no input that says which dtype its result has`);
    return first.dtype;
  });
}

function ruleFor(takes: Signature["takes"], index: number): DtypeRule | undefined {
  const rule = takes[index] ?? takes.at(-1);
  if (rule?.startsWith("...")) return rule.slice(3) as Letter;
  return takes[index] as DtypeRule | undefined;
}

function isLetter(rule: DtypeRule): rule is Letter {
  return rule in letters;
}
