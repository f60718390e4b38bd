/** Which Python runs the opponent? One with pinned versions of torch and diffusers, made for the purpose. */
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "./process.ts";

const requirements = "reference/bench/requirements.txt";

/** The interpreter of a virtual environment at `folder`, which is made, or brought to the pinned versions, when needed. */
export async function pythonEnvironment(folder: string): Promise<string> {
  const python = process.platform === "win32" ? join(folder, "Scripts", "python.exe") : join(folder, "bin", "python");
  const installed = join(folder, "installed-requirements.txt");
  if (existsSync(installed) && (await readFile(installed, "utf8")) === (await readFile(requirements, "utf8"))) {
    return python;
  }
  await mkdir(folder, { recursive: true });
  await runCommand(process.platform === "win32" ? "python" : "python3", ["-m", "venv", folder]);
  await runCommand(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]);
  await copyFile(requirements, installed);
  return python;
}
