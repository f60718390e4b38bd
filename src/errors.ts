/** Which ways can a call fail? One error class with a closed set of codes, used by every part of stillmotion. */

/**
 * What went wrong, for programs. The message says it to a person.
 *
 * - `invalid-option`: an option is out of range, of the wrong type, unknown, or contradicts another one
 * - `invalid-image`: the picture is missing, unreadable, damaged, animated or too large
 * - `invalid-checkpoint`: a checkpoint folder, its configuration or one of its tensors is not what the network needs
 * - `download`: the hub could not be reached, refused, or sent something else than it promised
 * - `unsupported`: understood, but not something this version or this device can do
 * - `not-finite`: numbers of a run became NaN or infinite, or a weight holds such; the message says where, and the likely cause
 * - `engine`: ONNX Runtime or its library reported a failure
 * - `out-of-memory`: the run does not fit in memory
 * - `output`: a file could not be written or read back
 * - `aborted`: the caller's AbortSignal ended the run
 * - `internal`: a shape or state that the code itself got wrong; please report it
 */
export type ErrorCode =
  | "invalid-option"
  | "invalid-image"
  | "invalid-checkpoint"
  | "download"
  | "unsupported"
  | "not-finite"
  | "engine"
  | "out-of-memory"
  | "output"
  | "aborted"
  | "internal";

/** An option of a call, named in a message: the command shows its flag there. */
export interface NamedOption {
  readonly option: string;
}

/** The call that a message is about: the command, which is a call of its own, leaves it out. */
interface NamedCall {
  readonly call: string;
}

/** What went wrong, to a person: text, in which options are not prose but data. */
export type Message = string | readonly (string | NamedOption | NamedCall)[];

/** `option("maxPixels")` in a {@link message}. */
export const option = (name: string): NamedOption => ({ option: name });

/** `generate: ` at the start of a {@link message}. */
export const inCall = (name: string): NamedCall => ({ call: name });

/**
 * A message that names options.
 *
 * @example
 * message`${inCall("loadImage")}${option("maxPixels")} is ${value}, expected a number above 0`
 */
export function message(
  texts: TemplateStringsArray,
  ...values: readonly (string | number | NamedOption | NamedCall | Message)[]
): Message {
  return texts.flatMap((text, index) => {
    const value = values[index];
    const piece = typeof value === "number" ? String(value) : (value ?? "");
    return [text, ...(Array.isArray(piece) ? piece : [piece as string | NamedOption | NamedCall])];
  });
}

/** The message as the library says it: options by their names. */
export function messageText(said: Message): string {
  if (typeof said === "string") return said;
  return said
    .map((word) => (typeof word === "string" ? word : "option" in word ? word.option : `${word.call}: `))
    .join("");
}

/**
 * The one error that stillmotion throws.
 *
 * @example
 * try {
 *   await pipe.generate(image, { width: 1000 });
 * } catch (error) {
 *   if (error instanceof StillmotionError && error.option === "width") console.error(error.message);
 * }
 */
export class StillmotionError extends Error {
  override readonly name = "StillmotionError";
  readonly code: ErrorCode;
  /** The option that the message is about, as the library spells it: the first that it names. */
  readonly option: string | undefined;
  /** The message, with options as data. */
  readonly said: Message;

  constructor(code: ErrorCode, said: Message, options?: { cause?: unknown }) {
    super(messageText(said), options);
    this.code = code;
    this.said = said;
    const named = typeof said === "string" ? [] : said;
    this.option = named.find((word) => typeof word === "object" && "option" in word)?.option;
  }
}

/** Throws the `aborted` error if the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(signal);
}

/** The error of a run that its caller ended; the signal's reason becomes the cause. */
export function abortedError(signal: AbortSignal): StillmotionError {
  return new StillmotionError("aborted", "the run was aborted by its signal", { cause: signal.reason });
}

/** True for the end of memory: ours, or V8's RangeError for a buffer that cannot be made. */
export function isOutOfMemory(error: unknown): boolean {
  if (error instanceof StillmotionError) return error.code === "out-of-memory";
  return error instanceof RangeError && /allocation failed/i.test(error.message);
}
