/** Can all that is neither Node's nor the command's run in a browser? */
import { describe, expect, it } from "vitest";
import { portabilityProblems } from "./portability.ts";
import { readTree, withText } from "./source-tree.ts";

const tree = readTree();
const asItIs = portabilityProblems(tree);

it("what the portable rooms lead to runs everywhere", () => expect(asItIs).toEqual([]));

/** A file of `src`, what is added to it, and what is said then. */
const leaks: readonly (readonly [string, string, string, string])[] = [
  [
    "a Node built-in",
    "tensor.ts",
    `export { readFileSync } from "node:fs";`,
    "tensor.ts → node:fs, which only Node has",
  ],
  [
    "a built-in by its short name",
    "half.ts",
    `import * as os from "os"; export const leak = os;`,
    "half.ts → os, which only Node has",
  ],
  [
    "a built-in's type",
    "floats.ts",
    `export type Leak = import("node:fs").Stats;`,
    "floats.ts → node:fs, which only Node has",
  ],
  ["Buffer", "weights/view.ts", `export const leak = Buffer.from("x");`, "weights/view.ts: Cannot find name 'Buffer'"],
  ["process", "hub/progress.ts", `export const leak = process.env;`, "hub/progress.ts: Cannot find name 'process'"],
  ["require", "json/json-cursor.ts", `export const leak = require;`, "json/json-cursor.ts: Cannot find name 'require'"],
  ["__dirname", "random/randn.ts", `export const leak = __dirname;`, "random/randn.ts: Cannot find name '__dirname'"],
  [
    "the file's folder",
    "schedulers/euler.ts",
    `export const leak = import.meta.dirname;`,
    "schedulers/euler.ts: Property 'dirname' does not exist on type 'ImportMeta'",
  ],
  [
    "sharp, when it is needed",
    "image/fit.ts",
    `export const leak = () => import("sharp");`,
    "image/fit.ts → sharp, which is no portable package",
  ],
  [
    "koffi",
    "engine/engine.ts",
    `export { load } from "koffi";`,
    "engine/engine.ts → koffi, which is no portable package",
  ],
  [
    "ONNX Runtime for Node",
    "onnx/graph.ts",
    `export type { InferenceSession } from "onnxruntime-node";`,
    "onnx/graph.ts → onnxruntime-node, which is no portable package",
  ],
  [
    "the encoder of H.264",
    "video/yuv.ts",
    `export type Leak = typeof import("h264-mp4-encoder");`,
    "video/yuv.ts → h264-mp4-encoder, which is no portable package",
  ],
  [
    "a module that only shows when it runs",
    "nn/linear.ts",
    `export const leak = (name: string) => import(name);`,
    "nn/linear.ts: imports what only shows when it runs",
  ],
  [
    "process, two imports deep",
    "models/vae.ts",
    `export { first } from "../node/first.ts";`,
    "models/vae.ts → node/first.ts → node/second.ts: Cannot find name 'process'",
  ],
  [
    "a built-in behind a type",
    "lowering/even-parts.ts",
    `export type { Lock } from "../node/files/lock.ts";`,
    "lowering/even-parts.ts → node/files/lock.ts → node:fs, which only Node has",
  ],
  [
    "a built-in in a worker",
    "streaming/segment-windows.ts",
    `export const leak = new URL("../engine/ort/worker.ts", import.meta.url);`,
    "streaming/segment-windows.ts → engine/ort/worker.ts → node:worker_threads, which only Node has",
  ],
];

describe("in a copy of the tree", () => {
  const added = {
    "node/first.ts": `export { second as first } from "./second.ts";`,
    "node/second.ts": "export const second = () => process.cwd();",
    ...Object.fromEntries(leaks.map(([, file, text]) => [file, text])),
  };
  const problems = portabilityProblems(withText(tree, added));

  it.each(leaks)("is found: %s", (_, file, _text, expected) => {
    const found = problems.filter((problem) => problem.startsWith(file) && !asItIs.includes(problem));
    expect(found).toEqual([expect.stringContaining(expected)]);
  });

  it("is found nothing else", () =>
    expect(problems.filter((each) => !asItIs.includes(each))).toHaveLength(leaks.length));
});
