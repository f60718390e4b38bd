/**
 * How fast is stillmotion beside diffusers on this machine? `npm run bench [-- SUBJECT] [options]`, see bench/README.md.
 *
 * One subject so far: `unet`, one evaluation of the published SVD-XT configuration in fp32.
 */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { pythonEnvironment } from "./python-environment.ts";
import { writeSection } from "./report.ts";
import { benchUnet } from "./unet.ts";

const repository = fileURLToPath(new URL("..", import.meta.url));
process.chdir(repository);

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    python: { type: "string" },
    rounds: { type: "string", default: "2" },
    runs: { type: "string", default: "3" },
    threads: { type: "string", default: String(availableParallelism()) },
    frames: { type: "string", default: "8" },
    width: { type: "string", default: "192" },
    height: { type: "string", default: "128" },
    out: { type: "string", default: join("docs", "benchmarks.md") },
  },
});

const subjects = { unet: benchUnet };
const [subject = "unet"] = positionals;
if (!Object.hasOwn(subjects, subject)) {
  throw new Error(`there is no bench "${subject}", only ${Object.keys(subjects).join(", ")}`);
}

const section = await subjects[subject as keyof typeof subjects]({
  folder: ".bench",
  python: values.python ?? (await pythonEnvironment(".venv")),
  rounds: count("rounds"),
  runs: count("runs"),
  threads: count("threads"),
  size: { frames: count("frames"), width: count("width"), height: count("height") },
  // Which Python it was and where the table went are this machine's affair.
  command: `npm run bench -- --rounds ${values.rounds} --runs ${values.runs} --frames ${values.frames} --width ${values.width} --height ${values.height}`,
  log: (line) => process.stdout.write(`${line}\n`),
});
await writeSection(values.out, section);
process.stdout.write(`\n${section.text}\nwritten to ${values.out}\n`);

function count(option: "rounds" | "runs" | "threads" | "frames" | "width" | "height"): number {
  const value = Number(values[option]);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`--${option} is "${values[option]}", expected a whole number of at least 1`);
}
