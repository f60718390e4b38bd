/** Do imports point one way, and do the portable folders stay free of Node? */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, it } from "vitest";

const source = join(import.meta.dirname, "..", "..", "src");

/** A folder may import those behind it in its row of this list, and those that everything may use. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  cli: [
    "pipeline",
    "hub",
    "files",
    "engine",
    "image",
    "video",
    "weights",
    "models",
    "random",
    "lowering",
    "onnx",
    "schedulers",
  ],
  pipeline: ["hub", "models", "schedulers", "image", "random", "video", "engine", "weights", "lowering", "onnx"],
  models: ["nn", "lowering", "onnx", "weights", "engine"],
  nn: ["lowering", "weights"],
  lowering: ["onnx", "weights"],
  engine: ["onnx", "files", "installed-package.ts"],
  video: ["image", "weights", "files", "installed-package.ts"],
  image: ["installed-package.ts"],
  files: [],
  random: [],
  schedulers: [],
  hub: ["weights", "files"],
  weights: [],
  onnx: [],
};
const everyone = ["byte-sizes.ts", "errors.ts", "finite.ts", "floats.ts", "half.ts", "json-integers.ts", "tensor.ts"];
const portable = ["pipeline", "models", "nn", "onnx", "lowering", "schedulers", "random"];

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
    return [...specifiers].map(([, specifier]) => ({ file, folder: file.split("/")[0]!, specifier: specifier! }));
  });

it("finds the imports", () => expect(imports.length).toBeGreaterThan(200));

it("point one way", () => {
  const wrong = imports.filter(({ file, folder, specifier }) => {
    if (!specifier.startsWith(".") || file === "index.ts" || everyone.includes(file)) return false;
    const target = relative(source, join(source, dirname(file), specifier)).split("/")[0]!;
    return target !== folder && !everyone.includes(target) && !mayImport[folder]?.includes(target);
  });
  expect(wrong).toEqual([]);
});

it("bring no Node built-in into the portable folders", () => {
  expect(imports.filter(({ folder, specifier }) => portable.includes(folder) && specifier.startsWith("node:"))).toEqual(
    [],
  );
});
