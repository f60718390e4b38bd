/** Which change of a run would fit into memory? The smallest: how a clip is computed first, then how large it is. */
import { type Message, message, option } from "../errors.ts";
import { memoryOf } from "../onnx/memory.ts";
import type { Settings } from "../options/resolve-settings.ts";
import { type Networks, unetsOf } from "../pipeline/networks.ts";
import type { Run } from "../pipeline/stages.ts";
import { peakMemory, type StageMemory, stageMemory } from "./memory.ts";

/** A change of a run, and what it is called. */
interface Change {
  readonly words: Message;
  readonly settings?: Partial<Settings>;
  readonly offload?: Run["offload"];
}

/** The same networks with a UNet whose weights take less memory. */
export interface SmallerNetworks {
  /** The options of `fromPretrained` that give them. */
  readonly words: Message;
  readonly networks: () => Networks;
}

/**
 * @param isEnough whether stages that take so much fit
 * @param smaller what leaves the clip as it is comes first
 */
export function advice(
  isEnough: (memory: readonly StageMemory[]) => boolean,
  networks: Networks,
  run: Run,
  smaller: readonly SmallerNetworks[],
): Message {
  const fits = ({ settings = {}, offload = run.offload }: Omit<Change, "words">, of = networks) =>
    isEnough(stageMemory(of, { ...run, offload, settings: { ...run.settings, ...settings } }));
  for (const change of otherWays(run)) if (fits(change)) return message`${change.words} would fit`;
  if (mayFitInSmaller(isEnough, networks, run)) {
    for (const { words, networks } of smaller) {
      if (fits({}, networks())) return message`${words} would fit`;
      if (fits({ settings: { decodeChunkSize: 1 } }, networks()))
        return message`${words} with ${chunksOf(1)} would fit`;
    }
  }
  if (run.settings.cacheInterval > 1 && fits({ settings: { cacheInterval: 1 } })) {
    return message`${option("cacheInterval")} 1 would fit`;
  }
  for (const change of smallerClips(run.settings)) if (fits(change)) return message`${change.words} would fit`;
  return "no smaller clip would fit either; free some memory or use a smaller checkpoint";
}

function chunksOf(frames: number): Message {
  return message`${option("decodeChunkSize")} ${frames}`;
}

/** To write a graph only to find out takes seconds where it is far too large. */
function mayFitInSmaller(isEnough: (memory: readonly StageMemory[]) => boolean, networks: Networks, run: Run): boolean {
  const frugal = { ...run, settings: { ...run.settings, decodeChunkSize: 1 } };
  const weightsBytes = Math.max(...unetsOf(networks, run.settings).map(({ graph }) => memoryOf(graph).weightsBytes));
  const without = ({ stage, bytes, deviceBytes }: StageMemory) => {
    return { stage, bytes: bytes - weightsBytes, deviceBytes: deviceBytes - weightsBytes };
  };
  return isEnough([without(peakMemory(networks, frugal))]);
}

function* otherWays({ settings, offload }: Run): Generator<Change> {
  for (const decodeChunkSize of smallerChunks(settings)) {
    yield { words: chunksOf(decodeChunkSize), settings: { decodeChunkSize } };
  }
  if (offload === "none") yield { words: message`${option("offload")} "model"`, offload: "model" };
}

/** Half the chunk, a quarter ... 1. */
export function* smallerChunks({ decodeChunkSize }: Pick<Settings, "decodeChunkSize">): Generator<number> {
  for (let chunk = Math.floor(decodeChunkSize / 2); chunk >= 1; chunk = Math.floor(chunk / 2)) yield chunk;
}

function* smallerClips(settings: Settings): Generator<Change> {
  for (const share of [3 / 4, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32]) {
    const smaller = { width: scaled(settings.width, share), height: scaled(settings.height, share) };
    const size = `${smaller.width}x${smaller.height}`;
    yield { words: size, settings: smaller };
    yield { words: message`${size} with ${chunksOf(1)}`, settings: { ...smaller, decodeChunkSize: 1 } };
    const numFrames = Math.ceil(settings.numFrames * share);
    const shorter = { ...smaller, numFrames, decodeChunkSize: 1 };
    yield { words: message`${numFrames} frames of ${size} with ${chunksOf(1)}`, settings: shorter };
  }
}

/** A share of a size in pixels, as a multiple of 16. */
function scaled(size: number, share: number): number {
  return Math.max(16, Math.floor((size * share) / 16) * 16);
}
