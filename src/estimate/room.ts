/** Does a run fit into memory, and if not, what would? */
import { bytesText } from "../byte-sizes.ts";
import type { Engine } from "../engine/engine.ts";
import { inCall, isOutOfMemory, type Message, message, option, StillmotionError } from "../errors.ts";
import type { Settings } from "../options/resolve-settings.ts";
import type { Networks } from "../pipeline/networks.ts";
import type { Sessions } from "../pipeline/sessions.ts";
import { peakMemory, type Run, stageMemory } from "./memory.ts";
import { type SmallerNetworks, smallerChunks, suggestion } from "./suggestion.ts";

/** The memory that a run may take, and where the bound comes from. */
export interface Room {
  readonly bytes: number;
  readonly words: Message;
}

/**
 * What is free, or less where the caller allows less: `maxMemoryBytes` for the whole process. What other runs may still take is
 * not free.
 */
export function roomFor(engine: Engine, sessions: Sessions, maxMemoryBytes: number | undefined): Room {
  // What is kept of earlier calls is used again, or makes way.
  const keptBytes = sessions.keptBytes();
  const promisedBytes = engine.promisedMemoryBytes();
  const free = engine.availableMemoryBytes() + keptBytes - promisedBytes;
  const besides = (word: string) =>
    promisedBytes === 0 ? "" : ` ${word} the ${bytesText(promisedBytes)} that other runs may still take`;
  const isFree = { bytes: free, words: `${bytesText(Math.max(0, free))} are free${besides("beside")}` };
  if (maxMemoryBytes === undefined) return isFree;
  const allowed = maxMemoryBytes - (engine.residentMemoryBytes() - keptBytes + promisedBytes);
  if (allowed > free) return isFree;
  const left = `${bytesText(maxMemoryBytes)} leaves ${bytesText(Math.max(0, allowed))}`;
  const words = message`${option("maxMemory")} ${left} beside what the process holds${besides("and")}`;
  return { bytes: allowed, words };
}

/**
 * Throws `out-of-memory` when the largest stage of a run needs more than there is room for, and names a change that would
 * fit.
 *
 * @param smaller what of the same networks takes less memory
 */
export function assertFitsInMemory(
  room: Room,
  networks: Networks,
  run: Run,
  smaller: readonly SmallerNetworks[] = [],
): void {
  const needed = peakMemory(networks, run);
  if (needed.bytes <= room.bytes) return;
  const { numFrames, width, height } = run.settings;
  const need = `the ${needed.stage} needs about ${bytesText(needed.bytes)} for ${numFrames} frames of ${width}x${height}`;
  const mend = suggestion(room.bytes, networks, run, smaller);
  throw new StillmotionError("out-of-memory", message`${inCall("generate")}${need}, ${room.words}; ${mend}`);
}

/**
 * The error of a run that began: where its memory ran out in the middle, it names a change that would have fitted what
 * there is room for now, and less than what the run was thought to need.
 */
export function whereMemoryRanOut(
  error: unknown,
  room: Room,
  networks: Networks,
  run: Run,
  smaller: readonly SmallerNetworks[] = [],
): unknown {
  if (!isOutOfMemory(error)) return error;
  const bytes = Math.min(room.bytes, peakMemory(networks, run).bytes - 1);
  const said = error instanceof StillmotionError ? error.said : (error as Error).message;
  const mend = suggestion(bytes, networks, run, smaller);
  const problem = message`${inCall("generate")}memory ran out (${said}); ${room.words}; ${mend}`;
  return new StillmotionError("out-of-memory", problem, { cause: error });
}

/** What the process may grow by from when settings are chosen until the run is checked, with other graphs written. */
const growthBytes = 20e6;

/**
 * Settings with which the run fits, where some do that leave the picture as it is: fewer frames decoded at a time. The first
 * that fits is taken, which is the fastest; what was given stays. What does not fit for another reason is left to
 * {@link assertFitsInMemory}.
 */
export function fittingSettings(
  room: Room,
  networks: Networks,
  run: Run,
  given: Readonly<Record<string, unknown>>,
): Settings {
  const { settings } = run;
  if (given.decodeChunkSize !== undefined || settings.decodeMode !== "exact") return settings;
  const decodingFits = (change: Partial<Settings>) => {
    const memory = stageMemory(networks, { ...run, settings: { ...settings, ...change } });
    return memory.every(({ stage, bytes }) => stage !== "vae decoder" || bytes + growthBytes <= room.bytes);
  };
  const changes = [{}, ...[...smallerChunks(settings)].map((decodeChunkSize) => ({ decodeChunkSize }))];
  return { ...settings, ...changes.find(decodingFits) };
}
