import { expect, test } from "vitest";
import { orient } from "../../src/image/orientation.ts";

// 2 wide, 3 high: rows ab, cd, ef; one letter a pixel.
const stored = { width: 2, height: 3, data: pixels("abcdef") };

function pixels(letters: string): Uint8Array {
  return Uint8Array.from([...letters].flatMap((letter) => [letter.charCodeAt(0), 1, 2]));
}

// EXIF 2.32 tag 0x0112 names where the stored first row and first column belong, e.g. 6: first row right, first column top.
test.each([
  [1, ["ab", "cd", "ef"]],
  [2, ["ba", "dc", "fe"]],
  [3, ["fe", "dc", "ba"]],
  [4, ["ef", "cd", "ab"]],
  [5, ["ace", "bdf"]],
  [6, ["eca", "fdb"]],
  [7, ["fdb", "eca"]],
  [8, ["bdf", "ace"]],
  [0, ["ab", "cd", "ef"]],
  [9, ["ab", "cd", "ef"]],
  [Number.NaN, ["ab", "cd", "ef"]],
])("orientation %s", (orientation, rows) => {
  const upright = orient(stored, orientation);
  expect(upright).toEqual({ width: rows[0]!.length, height: rows.length, data: pixels(rows.join("")) });
});
