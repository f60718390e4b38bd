/** Where do the feature maps of a clip lie while its segments run, and for how long? In scratches, one map after another. */
import type { ClipMap, Segment } from "../lowering/segments.ts";
import type { Scratch, ScratchSpace } from "./scratch.ts";

/** A scratch that maps of one size use in turn, and the segments from the first to the last that write or read one of them. */
interface Place {
  readonly frameSize: number;
  readonly from: number;
  to: number;
  /** The last map that was given the place. */
  holder: string;
}

/**
 * The place of each map, by its name. A map takes over the place of an older map of its size, because writing a file again is
 * faster than writing a new one. The older map must be one that was last read by the segment right
 * before, or is last read by the segment that writes the new map, which reads each frame before it writes it. The result, which no segment reads, keeps its place.
 */
function planPlaces(segments: readonly Segment[]): Map<string, Place> {
  const lastReader = new Map(
    segments.flatMap(({ reads }, index) => reads.map(({ map }) => [map.name, index] as const)),
  );
  const places = new Map<string, Place>();

  function isFree({ to, holder }: Place, index: number): boolean {
    const { reads } = segments[index]!;
    const isReadAhead = reads.some(({ map, neighbours }) => map.name === holder && neighbours > 0);
    return to === index - 1 || (to === index && !isReadAhead);
  }

  function give(map: ClipMap, index: number): void {
    const fitting = [...places.values()].filter((place) => place.frameSize === map.frameSize && isFree(place, index));
    const [latest] = fitting.toSorted((a, b) => b.to - a.to);
    const place = latest ?? { frameSize: map.frameSize, from: index, to: index, holder: map.name };
    places.set(map.name, Object.assign(place, { to: lastReader.get(map.name) ?? segments.length, holder: map.name }));
  }

  give(segments[0]!.reads[0]!.map, 0);
  for (const [index, { writes }] of segments.entries()) for (const map of writes) give(map, index);
  return places;
}

/** The most bytes that lie in scratches at the same time. */
export function scratchBytes(segments: readonly Segment[], frames: number): number {
  const places = [...new Set(planPlaces(segments).values())];
  const frameSizes = segments.map((_, index) =>
    places.filter(({ from, to }) => from <= index && index <= to).reduce((sum, { frameSize }) => sum + frameSize, 0),
  );
  return Float32Array.BYTES_PER_ELEMENT * frames * Math.max(...frameSizes);
}

/** The maps of one clip. */
export interface ClipMaps {
  /** Must be called before segment `index`, counted from 0, and `end` after it. */
  begin(index: number): Promise<void>;
  end(index: number): Promise<void>;
  /** Fills `into` with frames from `first` on; those beyond the clip's ends are zero. */
  read(map: ClipMap, first: number, into: Float32Array): Promise<void>;
  write(map: ClipMap, first: number, frames: Float32Array): Promise<void>;
  releaseAll(): Promise<void>;
}

export function createClipMaps(
  space: Pick<ScratchSpace, "create">,
  segments: readonly Segment[],
  frames: number,
): ClipMaps {
  const placeOf = planPlaces(segments);
  const places = new Set(placeOf.values());
  const scratches = new Map<Place, Scratch>();
  const scratchOf = ({ name }: ClipMap) => scratches.get(placeOf.get(name)!)!;

  async function release(place: Place): Promise<void> {
    const scratch = scratches.get(place)!;
    scratches.delete(place);
    await scratch.release();
  }

  return {
    async begin(index) {
      for (const place of places) {
        if (place.from === index) scratches.set(place, await space.create(frames * place.frameSize));
      }
    },
    async end(index) {
      for (const place of places) if (place.to === index) await release(place);
    },
    async read(map, first, into) {
      const { frameSize } = map;
      const [start, end] = [Math.max(0, first), Math.min(frames, first + into.length / frameSize)];
      const within = into.subarray((start - first) * frameSize, (end - first) * frameSize);
      into.fill(0, 0, (start - first) * frameSize).fill(0, (end - first) * frameSize);
      await scratchOf(map).read(start * frameSize, within);
    },
    write: (map, first, values) => scratchOf(map).write(first * map.frameSize, values),
    async releaseAll() {
      for (const place of [...scratches.keys()]) await release(place);
    },
  };
}
