/** Where is text written, and what can be done there? */
import { styleText } from "node:util";
import { integerToJson } from "../json-integers.ts";

export type Output = NodeJS.WriteStream;

/** A reader that has gone away (`stillmotion … | head -1`) is no failure of ours. */
export function ignoreClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
  }
}

/**
 * Writes text for people. File names and metadata may come from anywhere, so characters that would move the cursor or
 * turn the direction of writing are shown as their numbers.
 */
export function printLine(output: Output, text: string): void {
  const shown = text.replace(/(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    return `\\u{${character.codePointAt(0)!.toString(16)}}`;
  });
  if (output.writable) output.write(`${shown}\n`);
}

/** Writes one JSON object for programs. A whole number that JSON's may not hold exactly is text, in decimal. */
export function printJson(value: Readonly<Record<string, unknown>>): void {
  const json = JSON.stringify(value, (_, each) => (typeof each === "bigint" ? integerToJson(each) : each));
  if (process.stdout.writable) process.stdout.write(`${json}\n`);
}

/** True where a line may be drawn again and again. */
export function canRedraw(output: Output): boolean {
  return output.isTTY === true && process.env.TERM !== "dumb";
}

/** Colours where the terminal has them and NO_COLOR does not forbid them. */
export function styled(output: Output, format: Parameters<typeof styleText>[0], text: string): string {
  return styleText(format, text, { stream: output });
}
