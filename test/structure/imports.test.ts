/** Do imports point one way, and do the portable folders stay free of Node? */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, it } from "vitest";

const source = join(import.meta.dirname, "..", "..", "src");

/** A room may import those in its row of this list, those inside it, and those that everything may use. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  cli: [
    "node",
    "streaming",
    "pipeline",
    "options",
    "estimate",
    "hub",
    "engine/ort",
    "engine",
    "image",
    "video",
    "weights",
    "models",
    "random",
    "lowering/cpu",
    "lowering",
    "onnx",
    "schedulers",
    "json",
  ],
  node: [
    "pipeline",
    "options",
    "hub",
    "image",
    "video",
    "weights",
    "json",
    "streaming",
    "engine/ort",
    "engine",
    "lowering/cpu",
    "lowering",
  ],
  pipeline: [
    "options",
    "estimate",
    "streaming",
    "node",
    "hub",
    "models",
    "schedulers",
    "image",
    "random",
    "engine/ort",
    "engine",
    "weights",
    "lowering/cpu",
    "lowering",
    "onnx",
  ],
  options: [
    "pipeline",
    "hub",
    "lowering",
    "random",
    "image",
    "video",
    "weights",
    "json",
    "schedulers",
    "lowering/cpu",
    "models",
  ],
  estimate: ["pipeline", "options", "streaming", "engine", "lowering", "models", "onnx", "schedulers"],
  streaming: ["pipeline", "engine", "models", "lowering", "onnx"],
  models: ["nn", "lowering", "onnx", "weights", "engine"],
  nn: ["lowering", "weights"],
  "lowering/cpu": ["lowering", "onnx", "weights", "models", "options"],
  lowering: ["onnx", "weights", "lowering/cpu"],
  "engine/ort": ["engine", "onnx", "node"],
  engine: ["onnx", "lowering"],
  video: ["image", "weights", "json", "node"],
  image: ["node"],
  random: [],
  schedulers: [],
  hub: ["weights", "json", "node"],
  weights: ["json", "node"],
  json: [],
  onnx: [],
};
const everyone = ["byte-sizes.ts", "errors.ts", "finite.ts", "floats.ts", "half.ts", "printable.ts", "tensor.ts"];
const portable = [
  "pipeline",
  "options",
  "estimate",
  "streaming",
  "models",
  "nn",
  "onnx",
  "lowering",
  "lowering/cpu",
  "schedulers",
  "random",
  "json",
];

/** The room that a file of `src` belongs to: the longest of the list, or a file that lies beside them. */
function roomOf(file: string): string {
  const rooms = Object.keys(mayImport).filter((room) => file.startsWith(`${room}/`));
  return rooms.sort((a, b) => b.length - a.length)[0] ?? file;
}

interface Import {
  readonly file: string;
  readonly folder: string;
  readonly specifier: string;
}

const imports = readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.includes("proto"))
  .flatMap((file): Import[] => {
    const text = readFileSync(join(source, file), "utf8");
    const specifiers = text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g);
    return [...specifiers].map(([, specifier]) => ({ file, folder: roomOf(file), specifier: specifier! }));
  });

it("finds the imports", () => expect(imports.length).toBeGreaterThan(200));

it("point one way", () => {
  const wrong = imports.filter(({ file, folder, specifier }) => {
    if (!specifier.startsWith(".") || file === "index.ts" || everyone.includes(file)) return false;
    const target = roomOf(relative(source, join(source, dirname(file), specifier)));
    return target !== folder && !everyone.includes(target) && !mayImport[folder]?.includes(target);
  });
  expect(wrong).toEqual([]);
});

it("bring no Node built-in into the portable folders", () => {
  expect(imports.filter(({ folder, specifier }) => portable.includes(folder) && specifier.startsWith("node:"))).toEqual(
    [],
  );
});
