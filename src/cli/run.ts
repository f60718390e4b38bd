/** What does one call of the command do? It finds the subcommand, runs it, and turns whatever happens into an exit code. */
import { Command, CommanderError } from "commander";
import { doctorCommand } from "./doctor/doctor.ts";
import { errorFields, errorText, exitCodeOf, exitCodes } from "./errors.ts";
import { generateCommand } from "./generate/generate.ts";
import { inspectCommand } from "./inspect/inspect.ts";
import { modelsCommand } from "./models/models.ts";
import { packageVersion } from "./package-files.ts";
import { planCommand } from "./plan.ts";
import { lostResult, printJson, printLine, printText } from "./terminal.ts";

const examples = `
Examples:
  $ stillmotion generate photo.jpg -o clip.mp4
  $ stillmotion plan photo.jpg --model svd-xt --memory 8GB
  $ stillmotion inspect clip.mp4
  $ stillmotion models pull svd-xt --variant fp16
  $ stillmotion doctor
`;

/**
 * @param args the words after the command's name
 * @returns the exit code: 0 done, 1 failed, 2 used wrongly, 130 or 143 stopped by a signal
 */
export async function run(args: readonly string[]): Promise<number> {
  let exitCode: number = exitCodes.done;
  const finish = (code: number) => {
    exitCode = code;
  };
  const program = createProgram(finish);
  const asJson = args.includes("--json");
  let failure: unknown;
  try {
    if (args.length === 0) program.outputHelp();
    else await program.parseAsync(args, { from: "user" });
  } catch (error) {
    failure = error;
    exitCode = report(error, asJson);
  }
  const loss = await lostResult();
  if (loss === undefined) return exitCode;
  if (failure !== undefined && asJson) report(failure, false);
  printLine(process.stderr, `error: ${lossText(loss)}`);
  return exitCode === exitCodes.done ? exitCodes.failed : exitCode;
}

function lossText({ message }: Error): string {
  const reason = message.replace(/, write$/, "");
  return `what belongs on stdout could not be written there (${reason}); files that the command made are there all the same`;
}

/** @param finish is called with the exit code of a command that ends without throwing */
function createProgram(finish: (exitCode: number) => void): Command {
  const program = new Command("stillmotion")
    .description("Turns a still image into a short video with Stable Video Diffusion.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help; after a command, that command's")
    .helpCommand("help [command]", "show the help of a command")
    .addHelpText("after", examples);
  for (const command of [
    generateCommand(finish),
    planCommand(finish),
    inspectCommand(finish),
    modelsCommand(finish),
    doctorCommand(finish),
  ]) {
    program.addCommand(command);
  }
  for (const command of withSubcommands(program)) {
    command
      .exitOverride()
      .configureOutput({
        writeOut: printText,
        writeErr: () => {},
        getOutHelpWidth: () => Math.min(process.stdout.columns ?? 80, 100),
      })
      .configureHelp({ showGlobalOptions: false });
  }
  return program;
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

/** Says what went wrong, on stderr or as an event, and gives the exit code. */
function report(error: unknown, asJson: boolean): number {
  if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.done; // help or version was shown
  if (asJson) printJson({ event: "error", ...errorFields(error) });
  else printLine(process.stderr, `error: ${errorText(error)}`);
  return exitCodeOf(error);
}
