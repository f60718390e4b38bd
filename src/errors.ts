/** Which ways can a call fail? One error class with a closed set of codes, used by every part of stillmotion. */

/**
 * What went wrong, for programs. The message says it to a person.
 *
 * - `invalid-option`: an option is out of range, of the wrong type, unknown, or contradicts another one
 * - `invalid-image`: the picture is missing, unreadable, damaged, animated or too large
 * - `invalid-checkpoint`: a checkpoint folder, its configuration or one of its tensors is not what the network needs
 * - `download`: the hub could not be reached, refused, or sent something else than it promised
 * - `unsupported`: understood, but not something this version or this device can do
 * - `not-finite`: numbers of a run became NaN or infinite; the message says where, and the likely cause
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
  /** As the library spells it. */
  readonly option: string;
}

/** The call that a message is about: the command, which is a call of its own, leaves it out. */
export interface NamedCall {
  /** Such as `generate`. */
  readonly call: string;
}

/** A piece of a {@link Message}: text, or an option or a call as data. */
export type Word = string | NamedOption | NamedCall;

/** What went wrong, to a person: text, in which options are not prose but data. */
export type Message = string | readonly Word[];

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
export function message(texts: TemplateStringsArray, ...values: readonly (number | Word | Message)[]): Message {
  return withTextsJoined(texts.flatMap((text, index) => [text, ...wordsOf(values[index] ?? "")]));
}

/** Messages as one: `width or height`. */
export function joined(messages: readonly (Word | Message)[], between: string): Message {
  return withTextsJoined(messages.flatMap((each, index) => [index === 0 ? "" : between, ...wordsOf(each)]));
}

function wordsOf(value: number | Word | Message): readonly Word[] {
  if (typeof value === "number") return [String(value)];
  return typeof value === "object" && Symbol.iterator in value ? value : [value];
}

/** Texts that follow each other are one word. */
function withTextsJoined(words: readonly Word[]): Message {
  const result: Word[] = [];
  for (const word of words) {
    const last = result.at(-1);
    if (typeof word === "string" && typeof last === "string") result[result.length - 1] = last + word;
    else if (word !== "") result.push(word);
  }
  return result;
}

/**
 * The message as text.
 *
 * @param nameOf what an option is called: by default as in the library
 * @param callText how a call is named
 */
export function messageText(
  said: Message,
  nameOf: (option: string) => string = (name) => name,
  callText: (call: string) => string = (call) => `${call}: `,
): string {
  return wordsOf(said)
    .map((word) => (typeof word === "string" ? word : "option" in word ? nameOf(word.option) : callText(word.call)))
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
  /** What went wrong, for programs. */
  readonly code: ErrorCode;
  readonly #said: Message;

  constructor(code: ErrorCode, said: Message, options?: { cause?: unknown }) {
    super(messageText(said), options);
    this.code = code;
    this.#said = said;
  }

  /** The message, with options as data. */
  get said(): Message {
    return this.#said;
  }

  /** The option that the message is about, as the library spells it: the first that it names. */
  get option(): string | undefined {
    return wordsOf(this.#said).find((word) => typeof word === "object" && "option" in word)?.option;
  }
}

/** Does the work for an option; an error begins with what was given: `unet: nowhere.safetensors: was not found`. */
export async function workFor<Result>(given: Word | Message, work: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof StillmotionError)) throw error;
    throw new StillmotionError(error.code, message`${given}: ${error.said}`, { cause: error });
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

/** Ends the wait when the signal fires. Work that cannot be stopped goes on unseen, and its result is dropped. */
export async function untilAborted<Result>(work: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  if (signal === undefined) return work;
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(abortedError(signal));
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([promise, work]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** True for the end of memory: ours, or V8's RangeError for a buffer that cannot be made. */
export function isOutOfMemory(error: unknown): boolean {
  if (error instanceof StillmotionError) return error.code === "out-of-memory";
  return error instanceof RangeError && /allocation failed/i.test(error.message);
}
