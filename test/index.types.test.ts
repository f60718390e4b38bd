/** Do the published types compile in the program of a caller, whatever it is strict about? */
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ts from "typescript";
import { afterAll, beforeAll, expect, it } from "vitest";
import { installPacked } from "./support/packed.ts";

const index = readFileSync(new URL("../src/index.ts", import.meta.url), "utf8");

/** What a caller only reads, and records by names: there, what is absent need not be writable as undefined. */
const madeHere = [
  "Model",
  "RunOptions",
  "StoredWeight",
  "PreparedWeight",
  "NamedWeight",
  "FloatWeight",
  "Int8Matrix",
  "Int8Rows",
  "Plan",
  "ProgressEvent",
  "Checkpoint",
  "Component",
  "WeightEntry",
  "RunResults",
];

/** Names of all exported types that a caller may have to write. */
const types = [...index.matchAll(/export (type )?\{([^}]*)\}/g)]
  .flatMap(([, allTypes, names]) =>
    names!
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "" && (allTypes || name.startsWith("type "))),
  )
  .map((name) => name.replace(/^type /, ""))
  .filter((name) => !madeHere.includes(name));

/** `Refusing` is the paths of the optional properties which cannot be given as undefined. */
const optionTypes = `
  import type * as stillmotion from "stillmotion";
  type Leaf = ((...args: never[]) => unknown) | ArrayBufferView | ArrayBuffer | AbortSignal | Blob | URL;
  type Refusing<T, Path extends string = ""> = T extends Leaf ? never
    : T extends readonly (infer Item)[] ? Refusing<Item, \`\${Path}[].\`>
    : T extends object ? {
        [K in keyof T & string]-?: Refusing<T[K], \`\${Path}\${K}.\`> | ({} extends Pick<T, K>
          ? ({ [P in K]: undefined } extends Pick<T, K> ? never : \`\${Path}\${K}\`)
          : never)
      }[keyof T & string]
    : never;
  type AllowsUndefined<T> = [Refusing<T>] extends [never] ? true : Refusing<T>;
  export const notAllowed: AllowsUndefined<{ inner: { width?: number; height?: number | undefined }[] }> = "inner.[].width";
  ${types.map((name) => `export const of${name}: AllowsUndefined<stillmotion.${name}> = true;`).join("\n")}`;

const program = `
  import { exportToVideo, loadImage, StableVideoDiffusionPipeline } from "stillmotion";
  export async function save(fps?: number, signal?: AbortSignal, seed?: number) {
    await using pipe = await StableVideoDiffusionPipeline.fromPretrained("svd-xt", { threads: undefined });
    const { frames } = await pipe.generate(await loadImage(new Blob([]), { signal }), { fps, signal, seed });
    return exportToVideo(frames[0]!, "clip.mp4", { fps, signal, metadata: undefined });
  }`;

const folder = mkdtempSync(join(realpathSync(tmpdir()), "stillmotion-types-"));
const files = { "program.mts": program, "program.cts": program, "options.mts": optionTypes };

beforeAll(() => {
  installPacked(folder, "@types/node");
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

it("knows the exported types", () => {
  expect(types).toEqual(expect.arrayContaining(["ExportOptions", "GenerateOptions", "LoraSource", "ClipData"]));
});

it.each([
  ["nodenext", ts.ModuleKind.NodeNext, ts.ModuleResolutionKind.NodeNext],
  ["node16", ts.ModuleKind.Node16, ts.ModuleResolutionKind.Node16],
  ["bundler", ts.ModuleKind.ESNext, ts.ModuleResolutionKind.Bundler],
])(
  "compile with Node's types alone, module resolution %s, and take undefined for each option",
  { timeout: 120_000 },
  (_, module, moduleResolution) => {
    // A CommonJS program under node16 may not require an ES module.
    const names = Object.keys(files).filter((name) => module !== ts.ModuleKind.Node16 || name !== "program.cts");
    const compiled = ts.createProgram(
      names.map((name) => join(folder, name)),
      {
        module,
        moduleResolution,
        target: ts.ScriptTarget.ES2022,
        lib: ["lib.es2022.d.ts"],
        types: ["node"],
        typeRoots: [join(folder, "node_modules", "@types")],
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        noEmit: true,
      },
    );
    const problems = ts
      .getPreEmitDiagnostics(compiled)
      .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`);
    expect(problems).toEqual([]);
  },
);
