/** Where do the feature maps of a clip lie while its segments run, and for how long? In scratches, from the first use to the last. */
import type { Engine, Scratch } from "../engine/engine.ts";
import type { ClipMap, Segment } from "../lowering/segments.ts";

/** What happens to maps around one segment. */
interface MapPlan {
  /** Before it: maps that get a place, of their own or over a map of their size, each frame of which is read before. */
  readonly places: readonly { readonly map: ClipMap; readonly over: ClipMap | undefined }[];
  /** After it: maps that no other segment reads. */
  readonly releases: readonly ClipMap[];
}

/** The plan of each segment. The first map and the last are the caller's. */
export function planMaps(segments: readonly Segment[]): MapPlan[] {
  const lastReader = new Map(
    segments.flatMap(({ reads }, index) => reads.map(({ map }) => [map.name, index] as const)),
  );
  return segments.map(({ reads, writes }, index) => {
    const last = reads.filter(({ map }) => lastReader.get(map.name) === index);
    const releases = [...new Map(last.map(({ map }) => [map.name, map])).values()];
    const isReadAhead = ({ name }: ClipMap) => last.some(({ map, neighbours }) => map.name === name && neighbours > 0);
    const free = releases.filter((map) => !isReadAhead(map));
    const places = writes.map((map) => {
      const at = free.findIndex((old) => old.frameSize === map.frameSize);
      return { map, over: at < 0 ? undefined : free.splice(at, 1)[0] };
    });
    return { places, releases };
  });
}

/** Most bytes that lie in scratches at a time. */
export function scratchBytes(segments: readonly Segment[], frames: number): number {
  let held = segments[0]!.reads[0]!.map.frameSize;
  let largest = held;
  for (const { places, releases } of planMaps(segments)) {
    const taken = places.flatMap(({ over }) => over ?? []);
    for (const { map, over } of places) held += over ? 0 : map.frameSize;
    largest = Math.max(largest, held);
    for (const map of releases) held -= taken.includes(map) ? 0 : map.frameSize;
  }
  return Float32Array.BYTES_PER_ELEMENT * frames * largest;
}

/** The maps of one clip. */
export interface ClipMaps {
  place(map: ClipMap, over?: ClipMap): Promise<void>;
  /** Fills `into` with frames from `first` on; those beyond the clip's ends are zero. */
  read(map: ClipMap, first: number, into: Float32Array): Promise<void>;
  write(map: ClipMap, first: number, frames: Float32Array): Promise<void>;
  release(map: ClipMap): Promise<void>;
  releaseAll(): Promise<void>;
}

export function createClipMaps({ createScratch }: Pick<Engine, "createScratch">, frames: number): ClipMaps {
  const scratches = new Map<string, Scratch>();

  async function release(name: string): Promise<void> {
    const scratch = scratches.get(name)!;
    scratches.delete(name);
    const isShared = [...scratches.values()].includes(scratch);
    if (!isShared) await scratch.release();
  }

  return {
    async place(map, over) {
      scratches.set(map.name, over ? scratches.get(over.name)! : await createScratch(frames * map.frameSize));
    },
    async read({ name, frameSize }, first, into) {
      const [start, end] = [Math.max(0, first), Math.min(frames, first + into.length / frameSize)];
      const within = into.subarray((start - first) * frameSize, (end - first) * frameSize);
      into.fill(0, 0, (start - first) * frameSize).fill(0, (end - first) * frameSize);
      await scratches.get(name)!.read(start * frameSize, within);
    },
    write: (map, first, values) => scratches.get(map.name)!.write(first * map.frameSize, values),
    release: ({ name }) => release(name),
    async releaseAll() {
      for (const name of [...scratches.keys()]) await release(name);
    },
  };
}
