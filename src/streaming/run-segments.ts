/** How does a clip pass through a network that is cut into segments? One after the other, a window of frames at a time. */
import { throwIfAborted } from "../errors.ts";
import type { WrittenSegment } from "../models/network.ts";
import { countMultiplications } from "../onnx/work.ts";
import type { StageSession } from "../pipeline/not-finite.ts";
import { type WorkspaceContext, withSessions } from "../pipeline/run-stage.ts";
import { type FloatTensor, floatTensor } from "../tensor.ts";
import { type ClipMaps, createClipMaps } from "./clip-maps.ts";
import { type ClipStatistics, gatherClipStatistics } from "./clip-statistics.ts";
import { windowOf } from "./segment-windows.ts";
import { mapTensors } from "./segment-workspace.ts";

/** A clip on its way through the segments. */
interface Passage {
  readonly name: string;
  readonly frames: number;
  readonly maps: ClipMaps;
  /** Statistics of the maps to which a norm over the clip is applied, by the maps' names. */
  readonly statistics: Map<string, ClipStatistics>;
}

/**
 * Runs all segments for one clip of `frames`.
 *
 * @param given all frames of the map that the first segment reads
 * @param name of the clip, for errors
 * @param onWork is called after each window with the share of the work that is done, from 0 to 1
 * @returns all frames of the map that the last segment writes
 */
export async function runSegments(
  context: WorkspaceContext,
  segments: readonly WrittenSegment[],
  given: Float32Array,
  frames: number,
  name: string,
  onWork: (share: number) => void,
): Promise<Float32Array> {
  const maps = createClipMaps(context.scratch, segments, frames);
  const work = segments.map((segment) => countMultiplications(segment.graph));
  const allWork = segments.reduce(
    (sum, segment, index) => sum + work[index]! * Math.ceil(frames / windowOf(segment)),
    0,
  );
  let workDone = 0;
  const [first, result] = [segments[0]!.reads[0]!.map, segments.at(-1)!.writes[0]!];
  const passage: Passage = { name, frames, maps, statistics: new Map() };
  try {
    for (const [index, segment] of segments.entries()) {
      await maps.begin(index);
      if (index === 0) await maps.write(first, 0, given);
      const { gathers } = segment;
      if (gathers) passage.statistics.set(gathers.map.name, gatherClipStatistics(gathers.groups));
      await withSessions(context, "vae decoder", [segment], async ([session]) => {
        for (let done = 0; done < frames; done += windowOf(segment)) {
          throwIfAborted(context.signal);
          await runWindow(context, session!, segment, passage, done);
          workDone += work[index]!;
          onWork(workDone / allWork);
        }
      });
      await maps.end(index);
    }
    const frameValues = new Float32Array(frames * result.frameSize);
    await maps.read(result, 0, frameValues);
    return frameValues;
  } finally {
    await maps.releaseAll();
  }
}

/**
 * The last window ends where the clip ends, so it may hold frames that the window before has `done`. What it gives for those is
 * dropped, because their place may already hold the next map.
 */
async function runWindow(
  { signal, workspace }: WorkspaceContext,
  session: StageSession,
  segment: WrittenSegment,
  { name, frames, maps, statistics }: Passage,
  done: number,
): Promise<void> {
  const { reads, writes, gathers, normalises } = segment;
  const window = windowOf(segment);
  const start = Math.min(done, frames - window);
  const { inputs, outputs } = mapTensors(segment, workspace.tensors);
  for (const { input, map, neighbours } of reads) await maps.read(map, start - neighbours, inputs[input]!.data);
  if (normalises) {
    const { mean, inverseDeviation } = statistics.get(normalises.map.name)!.merge(normalises.eps);
    inputs[normalises.mean] = mean;
    inputs[normalises.inverseDeviation] = inverseDeviation;
    inputs[normalises.presence] = presence(start - 1, window + 2, frames);
  }
  const part = `${name}, frames ${start + 1} to ${start + window}`;
  const results = await session.run(inputs, { signal, outputs, part });
  const fresh = (name: string) => {
    const { shape, data } = results[name] as FloatTensor;
    return data.subarray(((done - start) * data.length) / shape[0]!);
  };
  if (gathers) statistics.get(gathers.map.name)!.add(fresh(gathers.mean), fresh(gathers.variance));
  for (const map of writes) await maps.write(map, done, fresh(map.name));
}

/** (count, 1), for frames from `first` on: 1 where the clip has the frame, 0 beyond its ends. */
function presence(first: number, count: number, frames: number): FloatTensor {
  const isPresent = (frame: number) => frame >= 0 && frame < frames;
  return floatTensor(
    [count, 1],
    Float32Array.from({ length: count }, (_, index) => Number(isPresent(first + index))),
  );
}
