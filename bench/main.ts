/** How fast is stillmotion beside diffusers on this machine? `npm run bench [-- SUBJECT] [options]`, see bench/README.md. */
import { rmSync } from "node:fs";
import { mkdir, mkdtemp } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type CheckpointName, checkpointTitles } from "./checkpoints.ts";
import { benchClip } from "./clip.ts";
import { benchDecode } from "./decode.ts";
import { benchLoad } from "./load.ts";
import { benchMemory } from "./memory.ts";
import type { Subject, Workload } from "./options.ts";
import { pythonEnvironment } from "./python-environment.ts";
import { benchQuality } from "./quality.ts";
import { writeSection } from "./report.ts";
import { sideNames } from "./sides.ts";
import { benchUnet } from "./unet.ts";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const { positionals, values, tokens } = parseArgs({
  allowPositionals: true,
  tokens: true,
  options: {
    python: { type: "string" },
    rounds: { type: "string" },
    runs: { type: "string" },
    steps: { type: "string", default: "25" },
    threads: { type: "string", default: String(availableParallelism()) },
    checkpoint: { type: "string" },
    frames: { type: "string" },
    width: { type: "string" },
    height: { type: "string" },
    sides: { type: "string" },
    out: { type: "string", default: join("docs", "benchmarks.md") },
  },
});

/** In the order in which they run when none is named. */
const subjects: Readonly<Record<string, Subject>> = {
  load: benchLoad,
  unet: benchUnet,
  decode: benchDecode,
  clip: benchClip,
  memory: benchMemory,
  quality: benchQuality,
};
for (const subject of positionals) oneOf("subject", subject, Object.keys(subjects));
const sides = values.sides?.split(",").map((side) => oneOf("--sides", side, sideNames));
const log = (line: string) => process.stdout.write(`${line}\n`);
const folder = ".bench";
await mkdir(folder, { recursive: true });
const scratchFolder = await mkdtemp(join(folder, "run-"));
process.once("exit", () => rmSync(scratchFolder, { recursive: true, force: true }));
for (const [signal, exitCode] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.once(signal, () => process.exit(exitCode));
}

const options = {
  folder,
  scratchFolder,
  python: values.python ?? (await pythonEnvironment(".venv")),
  threads: count("threads")!,
  workload: workload(),
  rounds: count("rounds"),
  runs: count("runs"),
  steps: count("steps")!,
  sides,
  log,
};

for (const subject of positionals.length > 0 ? positionals : Object.keys(subjects)) {
  for await (const section of subjects[subject]!({ ...options, command: commandOf(subject) })) {
    await writeSection(values.out, section);
    log(`\n## ${section.title}\n\n${section.text}\nwritten to ${values.out}\n`);
  }
}

/** The size of a clip says with which checkpoint, too; none at all leaves both to the subject. */
function workload(): Workload | undefined {
  const { checkpoint = "svd-xt", frames, width, height } = values;
  if ([values.checkpoint, frames, width, height].every((value) => value === undefined)) return undefined;
  oneOf("--checkpoint", checkpoint, Object.keys(checkpointTitles));
  const size = { frames: count("frames") ?? 8, width: count("width") ?? 192, height: count("height") ?? 128 };
  return { checkpoint: checkpoint as CheckpointName, size };
}

/** Which Python it was and where the table went are this machine's affair. */
function commandOf(subject: string): string {
  const given = tokens.flatMap((token) =>
    token.kind === "option" && token.name !== "python" && token.name !== "out"
      ? [token.rawName, token.value!.includes(" ") ? `"${token.value}"` : token.value!]
      : [],
  );
  return ["npm run bench --", subject, ...given].join(" ");
}

function oneOf(what: string, got: string, names: readonly string[]): string {
  if (names.includes(got)) return got;
  throw new Error(`${what} is "${got}", expected one of: ${names.join(", ")}`);
}

function count(option: "rounds" | "runs" | "steps" | "threads" | "frames" | "width" | "height"): number | undefined {
  const text = values[option];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`--${option} is "${text}", expected a whole number of at least 1`);
}
