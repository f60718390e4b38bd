/**
 * How is JSON of unknown origin read? Byte by byte, with the line and column in every error.
 *
 * Stricter than `JSON.parse`: the text must be valid UTF-8, a name may be given once per object, and nesting is limited.
 * A caller that knows the layout reads into its own structure, so nothing else is allocated.
 */

import { printable } from "../printable.ts";
import { fail, type JsonCursor, seen, skipSpace } from "./json-cursor.ts";
import { decode, quote, readString } from "./json-string.ts";

const maxDepth = 64;

/** Reads a whole text that must be one JSON object. Throws `invalid-checkpoint`. */
export function parseJsonObject(bytes: Uint8Array, where: string): Record<string, unknown> {
  const cursor: JsonCursor = { bytes, position: startsWithByteOrderMark(bytes) ? 3 : 0, where };
  skipSpace(cursor);
  if (bytes[cursor.position] !== 0x7b) fail(cursor, `expected "{" but found ${seen(cursor)}`);
  const value = readValue(cursor, 0) as Record<string, unknown>;
  expectEnd(cursor);
  return value;
}

/** Reads `{ … }`, calling `onMember` after each name's colon; it must read the value. Duplicates are the caller's to refuse. */
export function readMembers(cursor: JsonCursor, onMember: (name: string) => void): void {
  expect(cursor, "{");
  if (accept(cursor, "}")) return;
  do {
    skipSpace(cursor);
    if (cursor.bytes[cursor.position] !== quote) fail(cursor, `expected a name in quotes but found ${seen(cursor)}`);
    const name = readString(cursor);
    expect(cursor, ":");
    onMember(name);
  } while (accept(cursor, ","));
  expect(cursor, "}");
}

/** Reads `[ … ]`, calling `onItem` at each item; it must read the value. */
export function readItems(cursor: JsonCursor, onItem: () => void): void {
  expect(cursor, "[");
  if (accept(cursor, "]")) return;
  do onItem();
  while (accept(cursor, ","));
  expect(cursor, "]");
}

/** Reads a whole number of 0 or more that JavaScript holds exactly. */
export function readCount(cursor: JsonCursor): number {
  skipSpace(cursor);
  const start = cursor.position;
  let value = 0;
  for (;;) {
    const digit = (cursor.bytes[cursor.position] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
    if (value > Number.MAX_SAFE_INTEGER) fail(cursor, "a number is above 2^53, more than any file holds", start);
    cursor.position++;
  }
  const after = cursor.bytes[cursor.position] ?? 0;
  const leadingZero = cursor.bytes[start] === 0x30 && cursor.position - start > 1;
  if (cursor.position === start || leadingZero || after === 0x2e || (after | 0x20) === 0x65) {
    fail(cursor, `expected a whole number of 0 or more but found ${seen(cursor, start)}`, start);
  }
  return value;
}

/** Refuses anything but white space up to the end of the text. */
export function expectEnd(cursor: JsonCursor): void {
  skipSpace(cursor);
  if (cursor.position < cursor.bytes.length) fail(cursor, `expected the end but found ${seen(cursor)}`);
}

function readValue(cursor: JsonCursor, depth: number): unknown {
  if (depth > maxDepth) fail(cursor, `more than ${maxDepth} levels of nesting`);
  skipSpace(cursor);
  switch (cursor.bytes[cursor.position]) {
    case 0x7b: {
      const object: Record<string, unknown> = {};
      readMembers(cursor, (name) => {
        if (name === "__proto__") fail(cursor, `"__proto__" cannot be a name here`);
        if (Object.hasOwn(object, name)) fail(cursor, `${printable(name)} is given twice`);
        object[name] = readValue(cursor, depth + 1);
      });
      return object;
    }
    case 0x5b: {
      const items: unknown[] = [];
      readItems(cursor, () => items.push(readValue(cursor, depth + 1)));
      return items;
    }
    case quote:
      return readString(cursor);
    default:
      return readLiteral(cursor);
  }
}

/** Reads `true`, `false`, `null` or a number. */
function readLiteral(cursor: JsonCursor): unknown {
  const start = cursor.position;
  while (isLiteralByte(cursor.bytes[cursor.position])) cursor.position++;
  const text = decode(cursor, start, cursor.position);
  if (text === "true") return true;
  if (text === "false") return false;
  if (text === "null") return null;
  // Not JSON, but Python writes it: the configuration of diffusers' DPMSolverMultistepScheduler has one.
  if (text === "Infinity" || text === "-Infinity") return Number(text);
  if (!/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text)) {
    fail(cursor, `expected a value but found ${seen(cursor, start)}`, start);
  }
  return Number(text);
}

function expect(cursor: JsonCursor, character: string): void {
  if (!accept(cursor, character)) fail(cursor, `expected ${JSON.stringify(character)} but found ${seen(cursor)}`);
}

function accept(cursor: JsonCursor, character: string): boolean {
  skipSpace(cursor);
  if (cursor.bytes[cursor.position] !== character.charCodeAt(0)) return false;
  cursor.position++;
  return true;
}

function isLiteralByte(byte = 0): boolean {
  const letter = byte | 0x20;
  return (letter >= 0x61 && letter <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || [0x2b, 0x2d, 0x2e].includes(byte);
}

function startsWithByteOrderMark(bytes: Uint8Array): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
}
