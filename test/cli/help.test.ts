import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { generateSchema, type OptionName, presentationOf } from "../../src/options/generate-options.ts";
import { start, stillmotion, stillmotionHere } from "./command.ts";

it.each([["--help"], ["generate --help"], ["inspect --help"], ["doctor --help"], ["plan --help"]])(
  "shows %s",
  async (words) => {
    const { code, stdout, stderr } = await stillmotionHere(words.split(" "));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(stdout).toMatchSnapshot();
  },
);

it("has a flag for every option of the schema", async () => {
  const { stdout } = await stillmotionHere(["generate", "--help"]);
  for (const name of Object.keys(generateSchema.shape) as OptionName[]) {
    expect(stdout).toMatch(new RegExp(`^ {2}--${presentationOf(name).flag} <`, "m"));
  }
});

it("shows the help when called alone, and its version", async () => {
  const help = await stillmotionHere(["--help"]);
  expect(await stillmotionHere([])).toEqual(help);
  expect(await stillmotionHere(["help"])).toEqual(help);
  const { version } = JSON.parse(await readFile("package.json", "utf8"));
  expect(await stillmotion(["--version"])).toEqual({ code: 0, signal: null, stdout: `${version}\n`, stderr: "" });
});

it("refuses a Node that is too old, in words", async () => {
  const { engines } = JSON.parse(await readFile("package.json", "utf8"));
  expect(engines.node).toBe(">=22.12.0");
  const runWith = (version: string) => {
    const pretend = `Object.defineProperty(process,"versions",{value:{...process.versions,node:"${version}"}})`;
    const nodeArgs = ["--import", `data:text/javascript,${encodeURIComponent(pretend)}`];
    return start(["--version"], { nodeArgs }).outcome;
  };
  const old = await runWith("22.11.0");
  expect(old).toMatchObject({ code: 1, stdout: "" });
  expect(old.stderr).toBe(
    "error: stillmotion needs Node 22.12 or newer, this is 22.11.0; install a newer one from https://nodejs.org\n",
  );
  expect(await runWith("22.12.0")).toMatchObject({ code: 0, stderr: "" });
});
