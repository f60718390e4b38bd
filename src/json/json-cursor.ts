/** Where is a reader of JSON, and how does it say what is wrong there? With line and column. */
import { StillmotionError } from "../errors.ts";

/** A place in a JSON text. Whoever reads moves `position`. */
export interface JsonCursor {
  readonly bytes: Uint8Array;
  position: number;
  /** What the text is, for messages: usually the path of its file. */
  readonly where: string;
}

export function skipSpace(cursor: JsonCursor): void {
  for (;;) {
    const byte = cursor.bytes[cursor.position];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
    cursor.position++;
  }
}

/** Throws `invalid-checkpoint` with the place in the text. */
export function fail(cursor: JsonCursor, problem: string, position = cursor.position): never {
  const place = lineAndColumn(cursor.bytes, position);
  throw new StillmotionError("invalid-checkpoint", `${cursor.where}: cannot be read at ${place}: ${problem}`);
}

/** The next few characters, for a message. */
export function seen(cursor: JsonCursor, start = cursor.position): string {
  if (start >= cursor.bytes.length) return "the end";
  let text = "";
  for (const byte of cursor.bytes.subarray(start, start + 12)) {
    if (text !== "" && (byte <= 0x20 || byte === 0x2c)) break;
    text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `<${byte.toString(16).padStart(2, "0")}>`;
  }
  return text.includes('"') ? text : `"${text}"`;
}

function lineAndColumn(bytes: Uint8Array, position: number): string {
  let line = 1;
  let lineStart = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0 && at < position; at = bytes.indexOf(0x0a, at + 1)) {
    line++;
    lineStart = at + 1;
  }
  return `line ${line}, column ${position - lineStart + 1}`;
}
