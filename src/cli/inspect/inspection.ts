/** What does a look at a file or a folder give? */

/** What was found, for people and for programs. */
export interface Inspection {
  readonly lines: readonly string[];
  readonly json: Readonly<Record<string, unknown>>;
  /** What keeps a checkpoint from being used. */
  readonly problems?: readonly string[];
  /** Of what holds weights. */
  readonly weightsFiles?: readonly string[];
}
