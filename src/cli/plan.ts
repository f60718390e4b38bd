/** What does `stillmotion plan` take, and what does it show? What `generate` with the same flags would take. */
import { Command, type OptionValues } from "commander";
import { bytesText } from "../byte-sizes.ts";
import type { Plan } from "../estimate/plan.ts";
import { freeSpaceBytes } from "../node/files/free-space.ts";
import { temporaryFolder } from "../node/scratch.ts";
import type { Settings } from "../options/resolve-settings.ts";
import { scratchInMemoryBytes } from "../streaming/scratch.ts";
import { textWithFlags } from "./errors.ts";
import { onInterrupt } from "./interrupt.ts";
import { chosenText, planLine } from "./report/run-lines.ts";
import { type OpenedRun, openRun } from "./run/open-run.ts";
import { collect, runFromFlags, withRunFlags } from "./run/run-flags.ts";
import { flagsOfSettings } from "./run/setting-flags.ts";
import { printJson, printLine } from "./terminal.ts";
import { secondsText } from "./units.ts";

const examples = `
Nothing is generated, no weight is read and no model is downloaded. A second or
two go into measuring how fast this machine is.

Examples:
  $ stillmotion plan photo.jpg
  $ stillmotion plan photo.jpg --model ./svd-xt --frames 14 --memory 8GB
  $ stillmotion plan photo.jpg --model svd-xt --variant fp16 --dtype int8 --json
`;

export function planCommand(finish: (exitCode: number) => void): Command {
  const command = new Command("plan")
    .summary("say what a clip would take: memory, time and disk")
    .description("Estimates what generate would take with the same flags: memory and time of each stage, and disk.")
    .argument("<image...>", "JPEG, PNG, WebP, AVIF or GIF: a path or an http(s) URL")
    .option("-o, --output <file>", "where generate would write: only checked; may be given several times", collect)
    .option("--clean", "accepted because generate has it; nothing is removed here")
    .option("--json", "print one JSON object")
    .option("-q, --quiet", "print no notes");
  return withRunFlags(command)
    .addHelpText("after", examples)
    .action((images: string[], flags: OptionValues) => plan(images, flags, finish));
}

async function plan(images: string[], flags: OptionValues, finish: (exitCode: number) => void): Promise<void> {
  const interrupt = onInterrupt();
  const { signal } = interrupt;
  const notes: string[] = [];
  try {
    // A plan is no reason to download anything.
    const request = runFromFlags(images, { ...flags, localFilesOnly: true }, { signal, onProgress: undefined });
    const opened = await openRun({
      ...request,
      reporter: { note: (note) => notes.push(note), progress: () => {} },
      reserve: async () => {},
    });
    try {
      const { maxMemory } = request;
      const plan = await opened.pipeline.plan(opened.images, { ...opened.settings, maxMemory, signal });
      const disk = await diskOf(plan, flags.scratchFolder ?? temporaryFolder());
      if (flags.json) printJson(asJson(opened, plan, disk, notes));
      else for (const line of [...(flags.quiet ? [] : notes), ...lines(opened, plan, disk, maxMemory)]) show(line);
    } finally {
      await opened.pipeline.dispose();
    }
  } catch (error) {
    const exitCode = interrupt.exitCode();
    if (exitCode === undefined) throw error;
    finish(exitCode);
  } finally {
    interrupt.release();
  }
}

const show = (line: string) => printLine(process.stdout, line);

interface Disk {
  readonly folder: string;
  readonly neededBytes: number;
  /** Undefined where the file system does not tell. */
  readonly freeBytes: number | undefined;
}

async function diskOf({ scratchBytes }: Plan, folder: string): Promise<Disk> {
  const neededBytes = scratchBytes > scratchInMemoryBytes ? scratchBytes : 0;
  return { folder, neededBytes, freeBytes: await freeSpaceBytes(folder) };
}

function asJson(
  { model, preset, chosen }: OpenedRun,
  { scratchBytes: _, advice: __, adviceSaid, ...plan }: Plan,
  disk: Disk,
  notes: readonly string[],
): Record<string, unknown> {
  const advice = adviceSaid && textWithFlags(adviceSaid);
  return { model, preset, ...plan, advice, disk, chosen, notes };
}

function lines(opened: OpenedRun, plan: Plan, disk: Disk, maxMemory: string | undefined): string[] {
  const { whole, shallow } = plan.unetRuns;
  const loads = plan.stages.reduce((sum, { loadSeconds }) => sum + loadSeconds, 0);
  const table = [
    ["stage", "memory", "load", "run"],
    ...plan.stages.map(({ stage, peakBytes, loadSeconds, runSeconds }) => [
      stage,
      bytesText(peakBytes),
      secondsText(loadSeconds),
      secondsText(runSeconds),
    ]),
    ["in all", bytesText(plan.peakBytes), secondsText(loads), secondsText(plan.seconds - loads)],
  ];
  const free = disk.freeBytes === undefined ? "" : `; ${bytesText(disk.freeBytes)} are free in ${disk.folder}`;
  const setAside = disk.neededBytes === 0 ? "nothing is set aside" : `${bytesText(disk.neededBytes)} are set aside`;
  const shallowRuns = shallow === 0 ? "" : `, and ${shallow} of its shallow part`;
  return [
    planLine(opened),
    ...aligned(table),
    `time: about ${secondsText(plan.seconds)}, with ${whole} runs of the UNet${shallowRuns}`,
    `memory: about ${bytesText(plan.peakBytes)} of the ${bytesText(plan.availableBytes)} that are there`,
    ...(plan.adviceSaid === undefined ? [] : [`it would be refused: ${textWithFlags(plan.adviceSaid)}`]),
    `disk: ${setAside}${free}`,
    ...(maxMemory === undefined ? [] : [chosenText(maxMemory, opened.chosen)]),
    ...wrapped(
      [
        "with",
        `--dtype ${plan.dtype}`,
        `--weight-storage ${plan.weightStorage}`,
        `--offload ${plan.offload}`,
        ...settingWords(plan.settings),
      ],
      78,
    ),
  ];
}

/** The settings as words. A seed that nobody gave is left out, because it says nothing of the plan. */
function settingWords(settings: Settings): string[] {
  const { seed: _, ...shown } = settings;
  return flagsOfSettings(shown);
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}

/** The words on lines of at most `width` characters, all but the first indented. */
function wrapped(words: readonly string[], width: number): string[] {
  const result: string[] = [];
  for (const word of words) {
    const last = result.at(-1);
    if (last !== undefined && last.length + word.length + 1 <= width) result[result.length - 1] = `${last} ${word}`;
    else result.push(last === undefined ? word : `  ${word}`);
  }
  return result;
}
