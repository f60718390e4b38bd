/** Do regular expressions of PEFT's fit the paths that they fit in Python? */
import { expect, it } from "vitest";
import { pathPattern } from "../../../src/weights/lora/path-pattern.ts";

const paths = [
  "conv_in",
  "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
  "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0",
  "down_blocks.12.resnets.0.temporal_res_block.conv1",
  "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj",
  "up_blocks.1.attentions.0.proj_in",
];

/** Which of the paths `re.match(rf"(.*\.)?({key})$", path)` of Python 3.11 fits, by their numbers. */
const inPython: readonly (readonly [string, readonly number[]])[] = [
  ["to_q", [1]],
  ["to_(q|k|v)", [1]],
  ["(to_q|to_out\\.0)", [1, 2]],
  ["to_q|proj_in", [1, 5]],
  ["^to_q", []],
  ["^(down|up)_blocks\\..*", [1, 2, 3, 5]],
  [".*\\.attentions\\.0\\..*(to_q|proj)$", [1, 4]],
  ["down_blocks\\.\\d\\..*", [1, 2]],
  ["down_blocks\\.\\d+\\..*", [1, 2, 3]],
  ["down_blocks\\.\\d{2}\\..*conv\\d", [3]],
  ["[a-z]+_in", [0, 5]],
  ["(?:mid|up)_block(s\\.\\d)?\\..*", [4, 5]],
  ["conv[_1](in)?", [0, 3]],
  [".", [2]],
  ["..", []],
  ["[^.]+", [0, 1, 2, 3, 4, 5]],
  ["attn1\\.to_[^q].*", [2]],
  [".*?proj", [4]],
  ["conv_in$", [0]],
  ["^conv_in$", [0]],
  ["\\w+\\.0", [2]],
  ["a{0}proj_in", [5]],
  ["proj(_in|)", [4, 5]],
  ["conv.{1,3}", [0, 3]],
  ["conv.{2,}", [0]],
  ["x*", []],
  ["", []],
  ["to.out.0", [2]],
  ["[\\w.]*", [0, 1, 2, 3, 4, 5]],
  ["[-\\w]+_res_block\\.conv1", [3]],
];

it.each(inPython)("%s", (expression, expected) => {
  const fits = pathPattern(expression)!;
  expect(paths.flatMap((path, index) => (fits(path) ? [index] : []))).toEqual(expected);
});

it.each([
  "(a+)+b",
  "(a|b)*",
  "(?=to_q)to_q",
  "(?i)to_q",
  "(?P<name>to_q)",
  "(to)_\\1",
  "to_q*+",
  "to_[q",
  "to_(q",
  "to_q)",
  "to_[z-a]",
  "\\bto_q",
  "\\Ato_q",
  "*",
  "a{1000}",
  "a".repeat(300),
])("%s is not understood", (expression) => {
  expect(pathPattern(expression)).toBeUndefined();
});
