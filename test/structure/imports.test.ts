/** Do imports point one way, between the rooms of `src` and between its files? */
import { describe, expect, it } from "vitest";
import { importCircles, readTree, type SourceTree, withText } from "./source-tree.ts";

/** A room may import those in its row of this list, and what everyone may use. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  cli: [
    "node",
    "pipeline",
    "options",
    "estimate",
    "streaming",
    "hub",
    "engine/ort",
    "image",
    "video",
    "weights",
    "models",
    "lowering/cpu",
    "onnx",
    "schedulers",
    "json",
  ],
  node: [
    "pipeline",
    "options",
    "streaming",
    "hub",
    "image",
    "video",
    "weights",
    "engine/ort",
    "engine",
    "lowering/cpu",
    "lowering",
  ],
  pipeline: [
    "options",
    "estimate",
    "streaming",
    "models",
    "schedulers",
    "image",
    "random",
    "engine",
    "weights",
    "lowering",
    "onnx",
  ],
  options: ["pipeline", "random", "hub", "image", "video", "weights", "json", "lowering", "schedulers", "models"],
  estimate: ["pipeline", "options", "streaming", "engine", "lowering", "models", "onnx"],
  streaming: ["pipeline", "engine", "models", "lowering", "onnx"],
  models: ["nn", "lowering", "onnx", "weights", "engine"],
  nn: ["lowering", "weights"],
  "lowering/cpu": ["lowering", "onnx", "weights"],
  lowering: ["onnx", "weights"],
  "engine/ort": ["engine", "onnx", "node"],
  engine: ["lowering", "onnx"],
  video: ["image", "weights", "json"],
  image: [],
  random: [],
  schedulers: [],
  hub: ["weights", "json"],
  weights: ["json"],
  json: [],
  onnx: [],
};
/** These lie beside the rooms, and import nothing but each other. */
const everyone = ["byte-sizes.ts", "errors.ts", "finite.ts", "floats.ts", "half.ts", "printable.ts", "tensor.ts"];

/** The room that a file of `src` belongs to: the longest of the list that its path begins with, or the file that lies beside them. */
function roomOf(file: string): string {
  const rooms = Object.keys(mayImport).filter((room) => file.startsWith(`${room}/`));
  return rooms.sort((a, b) => b.length - a.length)[0] ?? file;
}

/** Imports from one room to another, as `from → to`, with the files. */
function importsBetweenRooms(tree: SourceTree): { from: string; to: string; files: string }[] {
  return [...tree].flatMap(([file, { imports }]) =>
    imports.flatMap(({ target }) => {
      if (target === undefined || everyone.includes(target)) return [];
      const [from, to] = [roomOf(file), roomOf(target)];
      return from === to || file === "index.ts" ? [] : [{ from, to, files: `${file} → ${target}` }];
    }),
  );
}

function wrongImports(tree: SourceTree): string[] {
  return importsBetweenRooms(tree)
    .filter(({ from, to }) => !mayImport[from]?.includes(to))
    .map(({ files }) => files);
}

const tree = readTree();

describe("imports between rooms", () => {
  it("point one way", () => expect(wrongImports(tree)).toEqual([]));

  it("are all that the list allows", () => {
    const used = new Set(importsBetweenRooms(tree).map(({ from, to }) => `${from} → ${to}`));
    const allowed = Object.entries(mayImport).flatMap(([from, rooms]) => rooms.map((to) => `${from} → ${to}`));
    expect(allowed.filter((each) => !used.has(each))).toEqual([]);
  });

  it.each([
    ["a value", `export { readTree } from "../cli/run.ts";`, "onnx/graph.ts → cli/run.ts"],
    ["a type", `import type { Sampler } from "../schedulers/sampler.ts";`, "onnx/graph.ts → schedulers/sampler.ts"],
    ["a type in its place", `type Of = import("../nn/norm.ts").Of;`, "onnx/graph.ts → nn/norm.ts"],
    ["an import later on", `const load = () => import("../nn/norm.ts");`, "onnx/graph.ts → nn/norm.ts"],
    ["a worker", `new URL("../engine/ort/worker.ts", import.meta.url);`, "onnx/graph.ts → engine/ort/worker.ts"],
  ])("are refused where the list has no such row: %s", (_, text, expected) => {
    expect(wrongImports(withText(tree, { "onnx/graph.ts": text }))).toEqual([expected]);
  });

  it("are refused from what everyone may use", () => {
    const changed = withText(tree, { "tensor.ts": `import type { Image } from "./image/image.ts";` });
    expect(wrongImports(changed)).toEqual(["tensor.ts → image/image.ts"]);
  });
});

describe("files", () => {
  it("import each other in no circle, neither values nor types", () => expect(importCircles(tree)).toEqual([]));

  it.each([
    ["values", `export { linear } from "../nn/linear.ts";`],
    ["types", `import type { Linear } from "../nn/linear.ts";`],
    ["imports later on", `export const load = () => import("../nn/linear.ts");`],
  ])("that do so are told, with the circle: %s", (_, text) => {
    const before = importCircles(tree);
    const circles = importCircles(withText(tree, { "weights/view.ts": text })).filter(
      (circle) => !before.includes(circle),
    );
    expect(circles).toEqual([expect.stringMatching(/^\d+ files: .*weights\/view\.ts → nn\/linear\.ts/)]);
  });
});
