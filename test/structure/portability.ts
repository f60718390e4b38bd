/**
 * What keeps files of the portable rooms from running in a browser? Whatever they import is followed to its end, types and dynamic
 * imports too, and the files are compiled without Node's types.
 */
import { isBuiltin } from "node:module";
import { join, posix } from "node:path";
import ts from "typescript";
import { type Import, pathInSource, type SourceTree, source } from "./source-tree.ts";

/** What belongs to Node: the platform, the command on it and its device. All else is portable. */
const roomsOfNode = ["cli/", "node/", "engine/ort/"];
const filesOfNode = ["index.ts"];

/** Packages that run everywhere. */
const portablePackages = ["zod", "@bufbuild/protobuf", "mediabunny"];

function isPortable(file: string): boolean {
  return !filesOfNode.includes(file) && !roomsOfNode.some((room) => file.startsWith(room));
}

/** One text for each way out of the portable rooms: the files that lead there, and what is wrong at its end. */
export function portabilityProblems(tree: SourceTree): string[] {
  const compiled = compileWithoutNode(tree);
  const problems: string[] = [];
  for (const [file, { imports }] of tree) {
    if (!isPortable(file)) continue;
    for (const problem of problemsIn(file, imports, compiled)) problems.push(`${file}${problem}`);
    const outside = imports.flatMap(({ target = "" }) => (tree.has(target) && !isPortable(target) ? [target] : []));
    for (const first of new Set(outside)) {
      const chain = wayToProblem(first, tree, compiled);
      if (chain !== undefined) problems.push(`${file} → ${chain}`);
    }
  }
  return problems;
}

/** The shortest way from a file outside the portable rooms to what cannot run in a browser. */
function wayToProblem(first: string, tree: SourceTree, compiled: Compiled): string | undefined {
  const queue: { readonly file: string; readonly chain: string }[] = [{ file: first, chain: first }];
  const seen = new Set([first]);
  for (const { file, chain } of queue) {
    const { imports } = tree.get(file)!;
    const [problem] = problemsIn(file, imports, compiled);
    if (problem !== undefined) return `${chain}${problem}`;
    for (const { target = "" } of imports) {
      if (seen.has(target) || !tree.has(target) || isPortable(target)) continue;
      seen.add(target);
      queue.push({ file: target, chain: `${chain} → ${target}` });
    }
  }
  return undefined;
}

type Compiled = (file: string) => readonly string[];

function problemsIn(file: string, imports: readonly Import[], compiled: Compiled): string[] {
  return [...imports.flatMap(problemOfImport), ...compiled(file).map((said) => `: ${said}`)];
}

function problemOfImport({ specifier, target }: Import): string[] {
  if (specifier === undefined) return [": imports what only shows when it runs"];
  if (target !== undefined) return [];
  if (isBuiltin(specifier)) return [` → ${specifier}, which only Node has`];
  return isPortablePackage(specifier) ? [] : [` → ${specifier}, which is no portable package`];
}

function isPortablePackage(specifier: string): boolean {
  return portablePackages.some((name) => specifier === name || specifier.startsWith(`${name}/`));
}

/** Files of packages, which are parsed once for all trees. */
const ofPackages = new Map<string, ts.SourceFile | undefined>();

/** What the compiler says of a file when it knows the language and a browser, and nothing of Node. */
function compileWithoutNode(tree: SourceTree): Compiled {
  const project = join(source, "..");
  const { config } = ts.readConfigFile(join(project, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson({ ...config.compilerOptions, types: [] }, project);
  const host = ts.createCompilerHost(options);
  const read = host.getSourceFile;
  host.getSourceFile = (fileName, languageVersion) => {
    const text = tree.get(pathInSource(fileName))?.text;
    if (text !== undefined) return ts.createSourceFile(fileName, text, languageVersion);
    if (!ofPackages.has(fileName)) ofPackages.set(fileName, read(fileName, languageVersion));
    return ofPackages.get(fileName);
  };
  // Packages that are not portable stay unknown: their types would bring those of Node.
  host.resolveModuleNameLiterals = (literals, containingFile) =>
    literals.map(({ text }) => {
      const besideIt = posix.join(containingFile, "..", text);
      if (text.startsWith(".") && tree.has(pathInSource(besideIt))) {
        return { resolvedModule: { resolvedFileName: besideIt, extension: ts.Extension.Ts } };
      }
      return isPortablePackage(text) || containingFile.includes("node_modules")
        ? ts.resolveModuleName(text, containingFile, options, host, undefined, undefined, ts.ModuleKind.ESNext)
        : { resolvedModule: undefined };
    });
  const program = ts.createProgram(
    [...tree.keys()].map((file) => join(source, file)),
    options,
    host,
  );
  return (file) =>
    program
      .getSemanticDiagnostics(program.getSourceFile(join(source, file)))
      // A module that is not found is told of by its import.
      .filter(({ file: at, start = 0 }) => !/["']/.test(at?.text[start] ?? ""))
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, " "));
}
