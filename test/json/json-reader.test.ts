import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseJsonObject } from "../../src/json/json-reader.ts";

const parse = (text: string) => parseJsonObject(new TextEncoder().encode(text), "unet/config.json");

test("what JSON.stringify writes is read to the same value", () => {
  const anyObject = fc.dictionary(
    fc.string({ unit: "grapheme" }).filter((name) => name !== "__proto__"),
    fc.jsonValue(),
  );
  fc.assert(
    fc.property(anyObject, fc.nat({ max: 3 }), (object, indent) => {
      const text = JSON.stringify(object, null, indent);
      fc.pre(text.isWellFormed() && !text.includes("__proto__") && !/\\ud[89a-f]/i.test(text));
      // Not held against JSON.parse: that of V8 13.6 confuses names with escapes.
      expect(JSON.stringify(parse(text), null, indent)).toBe(text);
    }),
  );
});

test("a mutated text is read only if JSON.parse reads it, and to the same value", () => {
  const text = '{"a": [1, -2.5e-3, true, null, "x\\u00e9\\n"], "b": {"c": {}, "d": []}}';
  fc.assert(
    fc.property(fc.nat({ max: text.length }), fc.nat({ max: 3 }), fc.string({ maxLength: 3 }), (at, drop, insert) => {
      const mutated = text.slice(0, at) + insert + text.slice(at + drop);
      let value: unknown;
      try {
        value = parse(mutated);
      } catch {
        return;
      }
      expect(value).toEqual(JSON.parse(mutated));
    }),
    { numRuns: 5000 },
  );
});

test.each([
  String.raw`\"\\\/\b\f\n\r\t`,
  String.raw`\u0000\u007F\u0080\u07ff\u0800\uFFFF`,
  String.raw`\uD83D\ude00 \ud800\udc00 \udbff\udfff`,
  String.raw`a\u00e9é☃\u2603😀\uD83D\uDE00b`,
])("escapes mean what they mean to JSON.parse: %s", (text) => {
  const json = `{"${text}": "${text}"}`;
  expect(parse(json)).toEqual(JSON.parse(json));
});

test.each([
  String.raw`\ud83d`,
  String.raw`\ud83dx`,
  String.raw`\ud83d\n`,
  String.raw`\ud83d\u0041`,
  String.raw`\ud83d\ud83d`,
  String.raw`\ude00`,
])("half of a surrogate pair is refused: %s", (text) => {
  expect(() => parse(`{"a": "${text}"}`)).toThrow("holds half of a surrogate pair");
});

test.each([
  String.raw`\x41`,
  String.raw`\u004`,
  String.raw`\u00g0`,
  String.raw`\u00`,
  String.raw`\U0041`,
  String.raw`\ud83d\u00`,
  String.raw`\u00:0`,
  String.raw`\u00@0`,
])("a broken escape is refused: %s", (text) => {
  expect(() => parse(`{"a": "${text}"}`)).toThrow(/an escape that JSON does not know|half of a surrogate pair/);
});

test("an infinite number, as Python writes it, is read", () => {
  expect(parse('{"a": -Infinity, "b": [Infinity]}')).toEqual({ a: -Infinity, b: [Infinity] });
});

test("a byte order mark, as some editors write it, is skipped", () => {
  expect(parse('\ufeff{"a": 1}')).toEqual({ a: 1 });
});

describe("an error says where the text breaks", () => {
  test.each([
    ['{\n  "a": 1,\n  "b": oops\n}', 'line 3, column 8: expected a value but found "oops"'],
    ['{\n  "a": 1\n  "b": 2\n}', 'line 3, column 3: expected "}" but found "b":'],
    ['{"a": 1,}', 'line 1, column 9: expected a name in quotes but found "}"'],
    ['{"a": NaN}', 'line 1, column 7: expected a value but found "NaN}"'],
    ['{"a": 01}', 'line 1, column 7: expected a value but found "01}"'],
    ['{"a": 1', 'line 1, column 8: expected "}" but found the end'],
    ['{"a": "b', "line 1, column 7: the string that starts here has no end"],
    ['{"a": 1} x', 'line 1, column 10: expected the end but found "x"'],
    ["[1]", 'line 1, column 1: expected "{" but found "[1]"'],
    ["", 'line 1, column 1: expected "{" but found the end'],
    ['{"a": 1, "a": 2}', "line 1, column 14: a is given twice"],
    ['{"__proto__": {"polluted": 1}}', 'line 1, column 14: "__proto__" cannot be a name here'],
    [`{"a": ${"[".repeat(100_000)}`, "line 1, column 71: more than 64 levels of nesting"],
  ])("%s", (text, message) => {
    expect(() => parse(text)).toThrow(`unet/config.json: cannot be read at ${message}`);
  });
});
