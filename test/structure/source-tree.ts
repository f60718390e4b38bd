/** Which files does `src` have, and what does each of them import? Read with the TypeScript compiler, every way of importing included. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import ts from "typescript";

export const source = join(import.meta.dirname, "..", "..", "src");

/** By their paths in `src`, such as `image/fit.ts`. */
export type SourceTree = ReadonlyMap<string, SourceText>;

interface SourceText {
  readonly text: string;
  readonly imports: readonly Import[];
}

export interface Import {
  /** As it is written; undefined for one that is worked out when it runs. */
  readonly specifier: string | undefined;
  /** The file of `src` that it leads to. */
  readonly target: string | undefined;
}

export function readTree(): SourceTree {
  const names = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const files = names.map((name) => name.replaceAll("\\", "/")).sort();
  return treeOf(Object.fromEntries(files.map((file) => [file, readFileSync(join(source, file), "utf8")])));
}

/** @param texts of files, by their paths in `src` */
function treeOf(texts: Readonly<Record<string, string>>): SourceTree {
  return new Map(Object.entries(texts).map(([file, text]) => [file, { text, imports: importsOf(file, text) }]));
}

/** A copy of the tree in which text stands at the end of files, or in files that are new. */
export function withText(tree: SourceTree, added: Readonly<Record<string, string>>): SourceTree {
  const texts = Object.entries(added).map(([file, text]) => [file, `${tree.get(file)?.text ?? ""}\n${text}\n`]);
  return new Map([...tree, ...treeOf(Object.fromEntries(texts))]);
}

function importsOf(file: string, text: string): Import[] {
  const parsed = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
  const imports: Import[] = [];
  const add = (node: ts.Node | undefined) => {
    const specifier = node && ts.isStringLiteralLike(node) ? node.text : undefined;
    const isRelative = specifier?.startsWith(".");
    const target = isRelative ? normalize(join(dirname(file), specifier!)).replaceAll("\\", "/") : undefined;
    imports.push({ specifier, target });
  };
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier)
      add(node.moduleSpecifier);
    else if (ts.isExternalModuleReference(node)) add(node.expression);
    else if (ts.isImportTypeNode(node)) add(ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined);
    else if (isDynamicImport(node)) add(node.arguments[0]);
    else if (isFileBeside(node)) add(node.arguments![0]);
    ts.forEachChild(node, visit);
  };
  visit(parsed);
  for (const { fileName } of [...parsed.typeReferenceDirectives, ...parsed.referencedFiles]) {
    imports.push({ specifier: fileName, target: undefined });
  }
  return imports;
}

function isDynamicImport(node: ts.Node): node is ts.CallExpression {
  return ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
}

/** `new URL("./worker.ts", import.meta.url)`, which bundlers follow. */
function isFileBeside(node: ts.Node): node is ts.NewExpression {
  if (!ts.isNewExpression(node) || !ts.isIdentifier(node.expression) || node.expression.text !== "URL") return false;
  const base = node.arguments?.[1];
  return base !== undefined && ts.isPropertyAccessExpression(base) && ts.isMetaProperty(base.expression);
}

/**
 * Circles of imports, of values and of types: one text for all files that lead to each other, with the shortest circle through the
 * first of them.
 */
export function importCircles(tree: SourceTree): string[] {
  const targetsOf = (file: string) =>
    tree.get(file)!.imports.flatMap(({ target = "" }) => (tree.has(target) ? [target] : []));
  const done = new Set<string>();
  const circles: string[] = [];
  for (const file of tree.keys()) {
    if (done.has(file)) continue;
    const circle = shortestPath(file, file, targetsOf);
    if (!circle) continue;
    const together = [...tree.keys()].filter(
      (other) => shortestPath(file, other, targetsOf) && shortestPath(other, file, targetsOf),
    );
    for (const each of together) done.add(each);
    circles.push(`${together.length} files: ${circle.join(" → ")}`);
  }
  return circles;
}

/** The files on the way, both ends included; undefined where there is none. A way has one step at least. */
function shortestPath(
  from: string,
  to: string,
  targetsOf: (file: string) => readonly string[],
): readonly string[] | undefined {
  const cameFrom = new Map<string, string>();
  const queue = [from];
  for (const file of queue) {
    for (const target of targetsOf(file)) {
      if (cameFrom.has(target)) continue;
      cameFrom.set(target, file);
      queue.push(target);
      if (target === to) return pathTo(to, from, cameFrom);
    }
  }
  return undefined;
}

function pathTo(to: string, from: string, cameFrom: ReadonlyMap<string, string>): readonly string[] {
  const path = [to];
  do path.unshift(cameFrom.get(path[0]!)!);
  while (path[0] !== from);
  return path;
}

/** The path in `src` of a file that the compiler names. */
export function pathInSource(fileName: string): string {
  return relative(source, fileName).replaceAll("\\", "/");
}
