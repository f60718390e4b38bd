/** How does a test get a terminal that it can take away? From the C library, as a terminal's window does. */
import { closeSync, constants, openSync } from "node:fs";
import { ReadStream } from "node:tty";
import koffi from "koffi";
import { onTestFinished } from "vitest";

export interface PseudoTerminal {
  /** The end for programs. It stays open here, as in a shell that started one. */
  readonly descriptor: number;
  /** What the program has printed so far. */
  text(): string;
  /** Takes the terminal away, as a window that is closed. */
  close(): void;
}

export const hasPseudoTerminals = process.platform === "linux";

export function openPseudoTerminal(): PseudoTerminal {
  const libc = koffi.load("libc.so.6");
  const [grant, unlock] = [libc.func("int grantpt(int)"), libc.func("int unlockpt(int)")];
  const nameOf = libc.func("str ptsname(int)");

  const window = openSync("/dev/ptmx", constants.O_RDWR | constants.O_NOCTTY); // which no program inherits
  if (grant(window) !== 0 || unlock(window) !== 0) throw new Error("no pseudo-terminal to be had");
  const descriptor = openSync(nameOf(window), constants.O_RDWR | constants.O_NOCTTY);
  const screen = new ReadStream(window);
  let seen = "";
  screen.on("data", (data) => {
    seen += data;
  });
  const close = () => void screen.destroy();
  onTestFinished(() => {
    close();
    closeSync(descriptor);
  });
  return { descriptor, text: () => seen, close };
}
