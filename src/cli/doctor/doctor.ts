/** What does `stillmotion doctor` take, and what does it do? It says what this machine has, and tries what a run needs. */
import { Command } from "commander";
import { exitCodes } from "../errors.ts";
import { builtInCheckpoint } from "../package-files.ts";
import { printJson, printLine } from "../terminal.ts";

export function doctorCommand(finish: (exitCode: number) => void): Command {
  return new Command("doctor")
    .summary("check this machine and this installation")
    .description(
      "Shows versions, processor and memory, starts every execution provider of the ONNX Runtime library, and runs a " +
        "tiny clip whose numbers must be those of the reference implementation. Exits with 1 when a check fails; " +
        "providers other than the CPU's may be absent.",
    )
    .option("--model <folder>", "checkpoint to check with; it needs a golden.safetensors (default: the built-in one)")
    .option("--json", "print one JSON object")
    .action(async (options: { model?: string; json?: boolean }) => {
      const { describeMachine, runChecks } = await import("./checks.ts");
      const libraryPath = process.env.ORT_LIBRARY || undefined;
      const machine = describeMachine();
      const rows = Object.entries(machine).map(([name, value]) => `${name.padEnd(12)} ${value}`);
      if (!options.json) for (const row of rows) printLine(process.stdout, row);

      const checks = [];
      for await (const check of runChecks({ libraryPath, checkpoint: () => options.model ?? builtInCheckpoint() })) {
        checks.push(check);
        if (!options.json) printLine(process.stdout, `${marks[check.state].padEnd(5)}${check.name}: ${check.detail}`);
      }
      const ok = checks.every(({ state }) => state !== "failed");
      if (options.json) printJson({ ok, machine, checks });
      if (!ok) finish(exitCodes.failed);
    });
}

const marks = { ok: "OK", failed: "FAIL", absent: "-" } as const;
