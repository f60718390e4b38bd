/** What does `stillmotion models` take, and what does it do? It lists, downloads, checks and removes models of the cache. */
import { Command } from "commander";
import { bytesText } from "../../byte-sizes.ts";
import { StillmotionError } from "../../errors.ts";
import { knownCheckpoints } from "../../hub/known-checkpoints.ts";
import { hubModel } from "../../hub/model-name.ts";
import { type CachedModel, cachedModel, cachedModels, removeModel, verifyModel } from "../../node/hub/cached-models.ts";
import { loadPresentations } from "../../options/load-options.ts";
import { exitCodes } from "../errors.ts";
import { onInterrupt } from "../interrupt.ts";
import { toLoadFlag } from "../run/load-flags.ts";
import { printJson, printLine } from "../terminal.ts";
import { countText } from "../units.ts";
import { hubSettings } from "./environment.ts";
import { modelLines, revisionLine } from "./list.ts";
import { downloadReporter } from "./progress.ts";
import { findModelFolder } from "./resolve.ts";

const examples = `
NAME is org/name, or one of ${knownCheckpoints.map(({ shortName }) => shortName).join(", ")}.

Environment: HF_HOME and HF_HUB_CACHE say where the cache is, HF_TOKEN (or the
token that "hf auth login" stored) opens gated models, HF_ENDPOINT names another
hub, HF_HUB_OFFLINE=1 downloads nothing. Python's libraries share the cache.

Examples:
  $ stillmotion models
  $ stillmotion models pull svd-xt --variant fp16
  $ stillmotion models verify svd-xt
  $ stillmotion models remove svd-xt
`;

type Finish = (exitCode: number) => void;

interface Flags {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly variant?: string;
  readonly revision?: string;
}

export function modelsCommand(finish: Finish): Command {
  const { variant, revision } = Object.fromEntries(loadPresentations());
  const command = new Command("models")
    .summary("list, download, check and remove models")
    .description("Shows the models in the cache: their revisions, variants and sizes.")
    .option("--json", "print one JSON object")
    .addHelpText("after", examples)
    .action((flags: Flags) => list(flags));
  command.addCommand(
    new Command("pull")
      .summary("download a model")
      .description("Downloads what a run of the model needs, or what is still missing of it, and prints its folder.")
      .argument("<name>", "org/name, a short name, or either with @revision")
      .addOption(toLoadFlag({ ...variant!, help: "weights to fetch where there are several, e.g. fp16" }))
      .addOption(toLoadFlag({ ...revision!, help: "a branch, a tag or a commit" }))
      .option("--json", "print events on stdout, one JSON object a line")
      .option("-q, --quiet", "print nothing but errors")
      .action((name: string, _: Flags, self: Command) => pull(name, self.optsWithGlobals(), finish)),
  );
  command.addCommand(
    new Command("verify")
      .summary("compare a model's files with their checksums")
      .description(
        "Reads every file of a model in the cache, all revisions. Exits with 1 when one is damaged or missing, or none can be run.",
      )
      .argument("<name>", "org/name or a short name")
      .option("--json", "print one JSON object")
      .action((name: string, _: Flags, self: Command) => verify(name, self.optsWithGlobals(), finish)),
  );
  command.addCommand(
    new Command("remove")
      .summary("remove a model from the cache")
      .description("Removes a model from the cache, all revisions and variants, without asking.")
      .argument("<name>", "org/name or a short name")
      .option("--json", "print one JSON object")
      .action((name: string, _: Flags, self: Command) => remove(name, self.optsWithGlobals())),
  );
  return command;
}

async function list({ json }: Flags): Promise<void> {
  const { cacheFolder } = hubSettings();
  const models = await cachedModels(cacheFolder);
  if (json) printJson({ cache: cacheFolder, models });
  else for (const line of modelLines(cacheFolder, models)) printLine(process.stdout, line);
}

async function pull(name: string, { variant, revision, ...output }: Flags, finish: Finish): Promise<void> {
  const reporter = downloadReporter(output);
  const interrupt = onInterrupt();
  try {
    hubModel(name, revision); // a path has nothing to pull
    const { signal } = interrupt;
    const folder = await findModelFolder(name, { variant, revision, signal, onProgress: reporter.take });
    if (output.json) printJson({ event: "result", folder });
    else if (!output.quiet) printLine(process.stdout, folder);
  } catch (error) {
    const exitCode = interrupt.exitCode();
    if (exitCode === undefined) throw error;
    const { code, message } = interrupt.signal.reason as StillmotionError;
    reporter.close();
    if (output.json) printJson({ event: "error", code, message });
    else printLine(process.stderr, `${message}; run it again to go on from there`);
    finish(exitCode);
  } finally {
    interrupt.release();
    reporter.close();
  }
}

async function verify(name: string, { json }: Flags, finish: Finish): Promise<void> {
  const interrupt = onInterrupt();
  try {
    const model = await modelInCache(name);
    const files = await verifyModel(model, { signal: interrupt.signal });
    const bad = files.filter(({ state }) => state === "damaged" || state === "missing");
    const unknown = files.filter(({ state }) => state === "unknown");
    const isRunnable = model.revisions.some(({ problem }) => problem === undefined);
    const ok = bad.length === 0 && isRunnable;
    if (!ok) finish(exitCodes.failed);
    if (json) return printJson({ name: model.repository, folder: model.folder, ok, revisions: model.revisions, files });
    for (const { path, state } of [...bad, ...unknown]) printLine(process.stdout, `${state.padEnd(8)} ${path}`);
    const sound = files.length - bad.length - unknown.length;
    printLine(process.stdout, `${model.repository}: ${sound} of ${countText(files.length, "file")} sound`);
    const pull = `stillmotion models pull ${name}`;
    if (bad.length > 0) printLine(process.stdout, `to mend it: stillmotion models remove ${name}, then ${pull}`);
    else if (!isRunnable) {
      for (const revision of model.revisions) printLine(process.stdout, revisionLine(revision));
      printLine(process.stdout, `to complete it: ${pull}`);
    }
  } catch (error) {
    const exitCode = interrupt.exitCode();
    if (exitCode === undefined) throw error;
    printLine(process.stderr, (interrupt.signal.reason as StillmotionError).message);
    finish(exitCode);
  } finally {
    interrupt.release();
  }
}

async function remove(name: string, { json }: Flags): Promise<void> {
  const { repository, folder } = await modelInCache(name);
  const { freedBytes } = await removeModel(hubSettings().cacheFolder, repository);
  if (json) printJson({ name: repository, removed: folder, freedBytes });
  else printLine(process.stdout, `removed ${folder} (${repository}): ${bytesText(freedBytes)} are free again`);
}

async function modelInCache(name: string): Promise<CachedModel> {
  const { repository } = hubModel(name);
  if (name.includes("@")) {
    throw new StillmotionError("invalid-option", `${name}: all revisions go together here; leave the @revision out`);
  }
  const { cacheFolder } = hubSettings();
  const model = await cachedModel(cacheFolder, repository);
  if (model) return model;
  throw new StillmotionError(
    "invalid-option",
    `${repository} is not in the cache ${cacheFolder}; "stillmotion models" lists what is`,
  );
}
