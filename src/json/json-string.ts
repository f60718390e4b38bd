/** How is a string of hostile JSON read? As valid UTF-8, without its escapes, in at most three times its own memory. */
import { fail, type JsonCursor, seen, skipSpace } from "./json-cursor.ts";

export const quote = 0x22;
const backslash = 0x5c;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8Encoder = new TextEncoder();
/** What stands behind a backslash, and the byte that it stands for. */
const escapes = new Map(
  [...'"\\/bfnrt'].map((letter, index) => [letter.charCodeAt(0), '"\\/\b\f\n\r\t'.charCodeAt(index)]),
);

/** Reads a string. */
export function readString(cursor: JsonCursor): string {
  skipSpace(cursor);
  const { bytes } = cursor;
  if (bytes[cursor.position] !== quote) fail(cursor, `expected a string but found ${seen(cursor)}`);
  const start = cursor.position + 1;
  let end = start;
  let hasEscapes = false;
  for (; bytes[end] !== quote; end++) {
    const byte = bytes[end];
    if (byte === undefined) fail(cursor, "the string that starts here has no end");
    if (byte < 0x20) fail(cursor, "a string holds a control character", end);
    if (byte === backslash) {
      hasEscapes = true;
      end++; // what follows cannot end the string
    }
  }
  const text = hasEscapes ? withoutEscapes(cursor, start, end) : decode(cursor, start, end);
  cursor.position = end + 1;
  return text;
}

/** The text of a stretch of bytes: the cursor's own, or those that were made of what stands at `place`. */
export function decode(
  cursor: JsonCursor,
  start: number,
  end: number,
  { bytes, place } = { bytes: cursor.bytes, place: start },
): string {
  // Several times faster than the decoder for short names, which most strings are.
  let text = "";
  let at = start;
  for (; at < end && end - start <= 12 && bytes[at]! < 0x80; at++) text += String.fromCharCode(bytes[at]!);
  if (at === end) return text;
  try {
    return utf8.decode(bytes.subarray(start, end));
  } catch {
    return fail(cursor, "the text is not valid UTF-8", place);
  }
}

/** Taking escapes out makes a text shorter, so it is done among the bytes and the text decoded once. */
function withoutEscapes(cursor: JsonCursor, start: number, end: number): string {
  const { bytes } = cursor;
  const plain = new Uint8Array(end - start);
  let length = 0;
  for (let at = start; at < end; at++) {
    if (bytes[at] !== backslash) {
      plain[length++] = bytes[at]!;
      continue;
    }
    const byte = escapes.get(bytes[++at]!);
    if (byte !== undefined) {
      plain[length++] = byte;
      continue;
    }
    const codePoint = readCodePoint(cursor, at, end);
    length += utf8Encoder.encodeInto(String.fromCodePoint(codePoint), plain.subarray(length)).written;
    at += codePoint > 0xffff ? 10 : 4;
  }
  return decode(cursor, 0, length, { bytes: plain, place: start });
}

/** Of the escape whose backslash stands before `at`: `u` and four digits, for what is above U+FFFF twice. */
function readCodePoint(cursor: JsonCursor, at: number, end: number): number {
  const { bytes } = cursor;
  const high = fourDigits(bytes, at, end);
  if (high < 0) fail(cursor, "the string that starts here has an escape that JSON does not know");
  if (high < 0xd800 || high > 0xdfff) return high;
  const low = bytes[at + 5] === backslash ? fourDigits(bytes, at + 6, end) : -1;
  if (high < 0xdc00 && low >= 0xdc00 && low <= 0xdfff) return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
  return fail(cursor, "the string that starts here holds half of a surrogate pair");
}

/** The number that `u` and four hexadecimal digits stand for; -1 for anything else. */
function fourDigits(bytes: Uint8Array, at: number, end: number): number {
  if (bytes[at] !== 0x75 || at + 5 > end) return -1;
  let value = 0;
  for (let place = at + 1; place < at + 5; place++) {
    const byte = bytes[place]!;
    const isDecimal = byte <= 0x39;
    const digit = isDecimal ? byte - 0x30 : (byte | 0x20) - 0x57;
    if (digit < (isDecimal ? 0 : 10) || digit > 15) return -1;
    value = value * 16 + digit;
  }
  return value;
}
