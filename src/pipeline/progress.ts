/** What does a listener hear of a run? Which of its stages is loaded, how far it is, and when its memory is given back. */

/**
 * A part of a run, named after its network, in the order in which a clip passes through them.
 * @useDeclaredType
 */
export type Stage = "image encoder" | "vae encoder" | "conditioning" | "unet" | "vae decoder";

/** What `onProgress` receives: a stage is loaded, works through its parts, and is released or kept for the next call. */
export interface ProgressEvent {
  readonly stage: Stage;
  /** `loading` is left out where the stage is still loaded; `kept` comes in place of `released` with `offload: "none"`. */
  readonly state: "loading" | "running" | "released" | "kept";
  /** Parts done so far (pictures, steps, frames or as much work as they are), while running. */
  readonly done?: number;
  readonly total?: number;
}
