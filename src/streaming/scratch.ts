/** Where does a run set numbers aside that would be much memory? What a platform gives for it. */

/** A long array of float32 values outside of any graph, on a disk where it would be much memory. */
export interface Scratch {
  /** Fills `into` with the values from number `first` on, which must have been written before. */
  read(first: number, into: Float32Array): Promise<void>;
  /** @throws StillmotionError `output` when the disk is full */
  write(first: number, values: Float32Array): Promise<void>;
  /** Gives memory or disk back. */
  release(): Promise<void>;
}

export interface ScratchSpace {
  /**
   * Room for `length` values, whose first content is nothing in particular.
   *
   * @throws StillmotionError `output` when there is no room
   */
  create(length: number): Promise<Scratch>;
  /** Throws `output` when scratches of `sizeBytes` together would find no room. */
  assertFits(sizeBytes: number): Promise<void>;
}

/** What all scratches of a space together may hold in memory; the others are files. */
export const scratchInMemoryBytes = 64e6;
