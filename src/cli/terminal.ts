/** Where is text written, what can be done there, and what becomes of text that cannot be written? */
import { closeSync, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { devNull } from "node:os";
import { isatty } from "node:tty";
import { styleText } from "node:util";
import { integerToJson } from "../json/json-integers.ts";

export type Output = NodeJS.WriteStream;

/**
 * No line about a run is worth the run, so a terminal that has gone, a full disk or a reader that has gone away does not end it.
 * Only a lost result is reported in the end, see {@link lostResult}.
 */
export function surviveFailedWrites(): void {
  for (const [descriptor, output] of [
    [1, process.stdout],
    [2, process.stderr],
  ] as const) {
    output.on("error", () => {});
    if (!(output instanceof Socket)) writeFilesWhole(output, descriptor);
  }
  const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));
  process.on("exit", () => {
    for (const descriptor of terminals) if (!isatty(descriptor)) replaceByNothing(descriptor);
  });
}

/** Opens /dev/null in place of a terminal that has gone: Node 22.12 resets its terminals as it ends, and would crash. */
function replaceByNothing(descriptor: number): void {
  closeSync(descriptor);
  openSync(devNull, "r+"); // takes the lowest number that is free
}

/** Writes chunks to a file whole: Node writes what fits and reports no error. A line after one that did not fit starts a new line. */
function writeFilesWhole(output: Output, descriptor: number): void {
  let isTorn = false;
  output._write = (chunk: Buffer, _, done) => {
    const bytes = isTorn ? Buffer.concat([Buffer.from("\n"), chunk]) : chunk;
    let written = 0;
    try {
      while (written < bytes.length) written += writeSync(descriptor, bytes, written);
      isTorn = false;
      done();
    } catch (error) {
      isTorn ||= written > 0;
      done(error as Error);
    }
  };
}

/** The last write of a result. It ends after all that came before. */
let lastResult: Promise<void> = Promise.resolve();
let firstLoss: NodeJS.ErrnoException | undefined;

/** @returns why a result since the last call could not be written; a reader that has gone away (`stillmotion … | head -1`) is no reason */
export async function lostResult(): Promise<Error | undefined> {
  await lastResult;
  const loss = firstLoss;
  firstLoss = undefined;
  return loss?.code === "EPIPE" || loss?.code === "ECONNRESET" ? undefined : loss;
}

function writeResult(text: string): void {
  lastResult = write(process.stdout, text).then((error) => {
    firstLoss ??= error;
  });
}

/** @returns the error, if the write failed */
function write(output: Output, text: string): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    try {
      output.write(text, (error) => resolve(error ?? undefined));
    } catch (error) {
      resolve(error as NodeJS.ErrnoException);
    }
  });
}

/**
 * Writes text for people; on stdout it is a result. File names and metadata may come from anywhere, so characters that
 * would move the cursor or turn the direction of writing are shown as their numbers.
 */
export function printLine(output: Output, text: string): void {
  const shown = text.replace(/(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    return `\\u{${character.codePointAt(0)!.toString(16)}}`;
  });
  if (output === process.stdout) writeResult(`${shown}\n`);
  else void write(output, `${shown}\n`);
}

const eraseLine = "\r\x1b[K";

/** Draws the line with the cursor again, the filled part of a bar in colour; see {@link canRedraw}. */
export function redrawLine(output: Output, text = ""): void {
  void write(output, eraseLine + text.replace(/█+/, (filled) => styled(output, "cyan", filled)));
}

/** Writes one JSON object for programs, a result. A whole number that JSON's may not hold exactly is text, in decimal. */
export function printJson(value: Readonly<Record<string, unknown>>): void {
  writeResult(jsonLine(value));
}

/** The same for an event on the way to the result. */
export function printJsonProgress(value: Readonly<Record<string, unknown>>): void {
  void write(process.stdout, jsonLine(value));
}

function jsonLine(value: Readonly<Record<string, unknown>>): string {
  return `${JSON.stringify(value, (_, each) => (typeof each === "bigint" ? integerToJson(each) : each))}\n`;
}

/** Writes help and the like, as it is. */
export function printText(text: string): void {
  writeResult(text);
}

/** True where a line may be drawn again and again. */
export function canRedraw(output: Output): boolean {
  return output.isTTY === true && process.env.TERM !== "dumb";
}

/** Colours where the terminal has them and NO_COLOR does not forbid them. */
function styled(output: Output, format: Parameters<typeof styleText>[0], text: string): string {
  return styleText(format, text, { stream: output });
}
