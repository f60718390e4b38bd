/** Which ways can a call fail? One error class with a closed set of codes, used by every part of stillmotion. */

/**
 * What went wrong, for programs. The message says it to a person.
 *
 * - `invalid-option`: an option is out of range, of the wrong type, unknown, or contradicts another one
 * - `invalid-image`: the picture is missing, unreadable, damaged, animated or too large
 * - `invalid-checkpoint`: a checkpoint folder, its configuration or one of its tensors is not what the network needs
 * - `download`: the hub could not be reached, refused, or sent something else than it promised
 * - `unsupported`: understood, but not something this version or this device can do
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
  | "engine"
  | "out-of-memory"
  | "output"
  | "aborted"
  | "internal";

/**
 * The one error that stillmotion throws.
 *
 * @example
 * try {
 *   await pipe.generate(image, { width: 1000 });
 * } catch (error) {
 *   if (error instanceof StillmotionError && error.code === "invalid-option") console.error(error.message);
 * }
 */
export class StillmotionError extends Error {
  override readonly name = "StillmotionError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
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
