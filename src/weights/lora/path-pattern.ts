/**
 * Does a regular expression of PEFT's fit the end of a layer's path? Answered without backtracking, so that no expression
 * of a hostile file takes long.
 *
 * Understood are characters, `.`, classes, groups of alternatives, anchors and repetitions of one character, all of which
 * mean the same in Python and here. Look-around, references, flags and groups that are repeated are not.
 */

/** The positions in `path` at which a match ends that begins at one of `starts`. */
type Ends = (path: string, starts: ReadonlySet<number>) => ReadonlySet<number>;

/** True for a path that the pattern fits as a whole, or from one of its steps to its end. */
export type PathPattern = (path: string) => boolean;

const longestPattern = 256;

/** One character, the same in both languages: escaped punctuation or class, a class in brackets, any, or itself. */
const oneCharacter = /\\[.\-_/dwsDWS]|\[\^?(?:\\[.\-_/dwsDWS]|[\w. /-])+\]|[\w. /-]/y;
const repetition = /(?:([*+?])|\{(\d{1,2})(?:(,)(\d{1,2})?)?\})\??(?![*+?{])/y;

/** Undefined where something in the expression is not understood. */
export function pathPattern(expression: string): PathPattern | undefined {
  if (expression.length > longestPattern) return undefined;
  const reader = { expression, position: 0 };
  const ends = readAlternatives(reader);
  if (ends === undefined || reader.position < expression.length) return undefined;
  // PEFT 0.21.2 utils/other.py `get_pattern_key`: re.match(rf"(.*\.)?({key})$", path).
  return (path) => ends(path, stepsOf(path)).has(path.length);
}

interface Reader {
  readonly expression: string;
  position: number;
}

/** The positions at which a step of the path begins. */
function stepsOf(path: string): ReadonlySet<number> {
  return new Set([0, ...Array.from(path.matchAll(/\./g), ({ index }) => index + 1)]);
}

function readAlternatives(reader: Reader): Ends | undefined {
  const alternatives: Ends[] = [];
  do {
    const sequence = readSequence(reader);
    if (sequence === undefined) return undefined;
    alternatives.push(sequence);
  } while (accept(reader, "|"));
  return (path, starts) => new Set(alternatives.flatMap((ends) => [...ends(path, starts)]));
}

function readSequence(reader: Reader): Ends | undefined {
  const items: Ends[] = [];
  while (reader.position < reader.expression.length && !/[|)]/.test(reader.expression[reader.position]!)) {
    const item = readItem(reader);
    if (item === undefined) return undefined;
    items.push(item);
  }
  return (path, starts) => items.reduce((from, ends) => ends(path, from), starts);
}

function readItem(reader: Reader): Ends | undefined {
  if (accept(reader, "^")) return (_, starts) => only(starts, (start) => start === 0);
  if (accept(reader, "$")) return (path, starts) => only(starts, (start) => start === path.length);
  const isGroup = accept(reader, "(?:") || accept(reader, "(");
  const once = isGroup ? readAlternatives(reader) : readCharacter(reader);
  if (once === undefined || (isGroup && !accept(reader, ")"))) return undefined;
  const [text, sign, least, comma, most] = take(reader, repetition) ?? [];
  if (text === undefined) return once;
  if (sign === "?") return repeated(once, 0, 1);
  if (isGroup) return undefined;
  if (sign !== undefined) return repeated(once, sign === "*" ? 0 : 1, Number.POSITIVE_INFINITY);
  return repeated(once, Number(least), comma ? Number(most ?? Number.POSITIVE_INFINITY) : Number(least));
}

function readCharacter(reader: Reader): Ends | undefined {
  const [text] = take(reader, oneCharacter) ?? [];
  if (text === undefined) return undefined;
  let character: RegExp;
  try {
    character = new RegExp(`^${text}$`, "s");
  } catch {
    return undefined; // a class whose range is out of order
  }
  return (path, starts) => {
    const fits = only(starts, (start) => start < path.length && character.test(path[start]!));
    return new Set([...fits].map((start) => start + 1));
  };
}

function repeated(once: Ends, least: number, most: number): Ends {
  return (path, starts) => {
    let from = starts;
    const found = new Set(least === 0 ? starts : []);
    for (let count = 1; count <= most && from.size > 0; count++) {
      const next = once(path, from);
      const added = only(next, (end) => count < least || !found.has(end));
      if (count >= least) for (const end of added) found.add(end);
      from = added;
    }
    return found;
  };
}

function only(positions: ReadonlySet<number>, keep: (position: number) => boolean): ReadonlySet<number> {
  return new Set([...positions].filter(keep));
}

function accept(reader: Reader, text: string): boolean {
  if (!reader.expression.startsWith(text, reader.position)) return false;
  reader.position += text.length;
  return true;
}

function take(reader: Reader, pattern: RegExp): RegExpExecArray | undefined {
  pattern.lastIndex = reader.position;
  const match = pattern.exec(reader.expression);
  if (!match) return undefined;
  reader.position = pattern.lastIndex;
  return match;
}
