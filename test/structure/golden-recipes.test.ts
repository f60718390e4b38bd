/** Does each test that reads golden data name the program that made it, so that a reader finds it? In a line above the imports. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { project, readSources, withoutComments } from "./sources.ts";

const requirements = readFileSync(join(project, "reference/requirements.txt"), "utf8");
const recipe = /Golden: python -m reference\.golden (\w+) \((\S+)\), (\w+) ([\d.]+)(?: \*\/)?$/gm;

/** What is wrong with the lines of a test, if anything is. */
function problem(code: string): string | undefined {
  const top = code.slice(0, code.search(/^(import|const|export)\b/m));
  const recipes = [...top.matchAll(recipe)];
  if (recipes.length === 0) {
    return "no line of the form: Golden: python -m reference.golden AREA (reference/golden/AREA.py), PACKAGE VERSION";
  }
  const problems = recipes.map(([, area, program, name, version]) => {
    if (program !== `reference/golden/${area}.py`) return `${program} is not the program of ${area}`;
    if (!existsSync(join(project, program))) return `${program} is not there`;
    const isPinned = requirements.includes(`\n${name}==${version}\n`);
    return isPinned ? undefined : `${name} ${version} is not in reference/requirements.txt`;
  });
  return problems.find((each) => each !== undefined);
}

/** A folder in a path, `"golden"` or `/golden/`. */
const folder = /["`/]golden["`/]/;
const tests = Object.entries(readSources("test")).filter(
  ([file, code]) =>
    !file.startsWith("structure/") && folder.test(withoutComments(code).replaceAll(/from "[^"]*"/g, "")),
);

it("finds the tests", () => expect(tests.length).toBeGreaterThan(30));

it("each names a recipe that is there, with the version that is pinned", () => {
  const wrong = tests.flatMap(([file, code]) => problem(code)?.replace(/^/, `${file}: `) ?? []);
  expect(wrong).toEqual([]);
});

it.each([
  ["no line", "/** Is it so? */"],
  [
    "a line below the imports",
    'import x from "y";\n/** Golden: python -m reference.golden ops (reference/golden/ops.py), torch 2.15.0 */',
  ],
  [
    "a program that is not there",
    "/** Golden: python -m reference.golden opera (reference/golden/opera.py), torch 2.15.0 */",
  ],
  ["another program", "/** Golden: python -m reference.golden ops (reference/golden/layers.py), torch 2.15.0 */"],
  ["another version", "/** Golden: python -m reference.golden ops (reference/golden/ops.py), torch 1.0.0 */"],
])("%s is wrong", (_, code) => expect(problem(`${code}\nimport x from "y";\n`)).toBeDefined());
