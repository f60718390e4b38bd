/** How does the bench start another program and read its answer? */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("..", import.meta.url));

/** Runs a program from the repository's root with its output on ours. Throws when it fails. */
export async function runCommand(program: string, args: readonly string[]): Promise<void> {
  await run(program, args, "inherit");
}

/** Runs a program whose last line on stdout is JSON, and parses that line. Throws with what it said when it fails. */
export async function runForJson(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<unknown> {
  const output = await run(program, args, "pipe", environment);
  return JSON.parse(output.trim().split("\n").at(-1)!);
}

async function run(
  program: string,
  args: readonly string[],
  output: "inherit" | "pipe",
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  const child = spawn(program, args, {
    cwd: repository,
    stdio: ["ignore", output, output],
    env: { ...process.env, ...environment },
  });
  let [answer, complaints] = ["", ""];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    answer += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    complaints += text;
  });
  // A bench that is ended leaves no program behind.
  const stop = () => child.kill();
  process.once("exit", stop);
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve([code, signal]));
  });
  process.off("exit", stop);
  if (code !== 0) {
    const end = `${program} ${args.join(" ")} ended with ${signal ?? `exit code ${code}`}`;
    throw new Error(`${end}\n${complaints.split("\n").slice(-40).join("\n")}`);
  }
  return answer;
}
