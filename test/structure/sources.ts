/** How do tests of the structure read code? Each file as text, by its path in the folder, and without its comments. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export type Sources = Readonly<Record<string, string>>;

export const project = join(import.meta.dirname, "..", "..");

/** @param folder of the project */
export function readSources(folder: string): Sources {
  const files = readdirSync(join(project, folder), { recursive: true, encoding: "utf8" });
  const code = files.filter((file) => file.endsWith(".ts")).map((file) => file.replaceAll("\\", "/"));
  return Object.fromEntries(code.map((file) => [file, readFileSync(join(project, folder, file), "utf8")]));
}

/** The same lines, with all texts. */
export function withoutComments(code: string): string {
  const textOrComment = /("(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/.*/g;
  return code.replace(textOrComment, (all, text) => text ?? all.replace(/[^\n]/g, ""));
}

/** The same lines without comments, with texts that go on in the next line joined. */
export function withJoinedTexts(code: string): string {
  return withoutComments(code).replace(/["`]\s*\+\s*["`]/g, "");
}
