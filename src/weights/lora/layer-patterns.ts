/**
 * Which value does a `rank_pattern` or an `alpha_pattern` of PEFT's give a layer? That of the first key that fits the end of the
 * layer's path.
 */
import { StillmotionError } from "../../errors.ts";
import { printable } from "../../printable.ts";
import { type PathPattern, pathPattern } from "./path-pattern.ts";

/** The value for a layer that goes by any of these paths; undefined where no key fits one. */
export type LayerPatterns = (paths: readonly string[]) => number | undefined;

interface Keyed {
  readonly key: string;
  /** The key's place: PEFT takes the first that fits. */
  readonly order: number;
  readonly value: number;
}

/** The most regular expressions, each of which is tried on each layer. Plain paths, of which there may be many, are looked up. */
const mostExpressions = 64;

/**
 * @param where what holds the patterns, for messages
 * @throws StillmotionError `unsupported` for a regular expression that is not understood
 */
export function layerPatterns(name: string, values: Readonly<Record<string, number>>, where: string): LayerPatterns {
  const ends = new Map<string, Keyed>();
  const wholes = new Map<string, Keyed>();
  const expressions: (Keyed & { readonly fits: PathPattern })[] = [];
  for (const [order, [key, value]] of Object.entries(values).entries()) {
    const plain = key.replace(/^\^/, "").replace(/\$$/, "").replaceAll("\\.", ".");
    if (/^[\w.-]+$/.test(plain)) {
      const known = key.startsWith("^") ? wholes : ends;
      if (!known.has(plain)) known.set(plain, { key, order, value });
      continue;
    }
    const fits = expressions.length < mostExpressions ? pathPattern(key) : undefined;
    if (!fits) {
      const read = `layer paths and simple expressions are read, of these at most ${mostExpressions}`;
      const problem = `${where}: ${name} has the regular expression ${printable(key)}; ${read}`;
      throw new StillmotionError("unsupported", problem);
    }
    expressions.push({ key, order, value, fits });
  }
  return (paths) => {
    const found = [
      ...paths.flatMap((path) => wholes.get(path) ?? []),
      ...paths.flatMap(endsOf).flatMap((end) => ends.get(end) ?? []),
      ...expressions.filter(({ fits }) => paths.some(fits)),
    ];
    const [first, ...others] = found.sort((a, b) => a.order - b.order);
    const other = first && isNumber(first.key) && others.find(({ value }) => value !== first.value);
    if (other) {
      const both = `${printable(first.key)} and ${printable(other.key)} of ${name} fit ${printable(paths[0]!)}`;
      const problem = `${where}: ${both}, and the order of a number is not known; give it the step before it too`;
      throw new StillmotionError("unsupported", problem);
    }
    return first?.value;
  };
}

/** True for a key that JavaScript moves before all others, wherever it stood. */
function isNumber(key: string): boolean {
  return /^\d+$/.test(key);
}

/** "a.b.c" ends with "a.b.c", "b.c" and "c". */
function endsOf(path: string): string[] {
  const steps = path.split(".");
  return steps.map((_, index) => steps.slice(index).join("."));
}
