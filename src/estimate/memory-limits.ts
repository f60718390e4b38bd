/** Does a run fit into memory, and if not, what would? */
import { bytesText } from "../byte-sizes.ts";
import type { Engine, MemoryPool } from "../engine/engine.ts";
import { inCall, isOutOfMemory, type Message, message, option, StillmotionError } from "../errors.ts";
import type { Settings } from "../options/resolve-settings.ts";
import type { Networks } from "../pipeline/networks.ts";
import type { Sessions } from "../pipeline/sessions.ts";
import type { Run } from "../pipeline/stages.ts";
import { advice, type SmallerNetworks, smallerChunks } from "./advice.ts";
import { largestOf, type StageMemory, stageMemory } from "./memory.ts";
import type { PoolState } from "./plan.ts";

export type { SmallerNetworks } from "./advice.ts";

/** What a run may take of one pool, and where the bound comes from. */
interface MemoryLimit {
  readonly bytes: number;
  readonly words: Message;
}

/** One limit twice where the device has no memory of its own. */
export interface MemoryLimits {
  readonly host: MemoryLimit;
  readonly device: MemoryLimit;
}

/**
 * What is free, or less where the caller allows less: `maxMemoryBytes` for the whole process. What other runs may still take is
 * not free.
 */
export function memoryLimits(
  { memory: { host, device } }: Pick<Engine, "memory">,
  sessions: Pick<Sessions, "keptBytes">,
  maxMemoryBytes: number | undefined,
): MemoryLimits {
  // What is kept of earlier calls is used again, or makes way.
  const keptBytes = sessions.keptBytes();
  const isOnePool = host === device;
  const hostLimit = limitOf(host, isOnePool ? keptBytes : 0, maxMemoryBytes);
  return { host: hostLimit, device: isOnePool ? hostLimit : limitOf(device, keptBytes, undefined, " on the device") };
}

function limitOf(pool: MemoryPool, keptBytes: number, maxMemoryBytes: number | undefined, where = ""): MemoryLimit {
  const promisedBytes = pool.promisedBytes();
  const free = pool.availableBytes() + keptBytes - promisedBytes;
  const besides = (word: string) =>
    promisedBytes === 0 ? "" : ` ${word} the ${bytesText(promisedBytes)} that other runs may still take`;
  const freeText = bytesText(Math.max(0, free));
  const isFree = { bytes: free, words: `${freeText} are free${where}${besides("beside")}` };
  if (maxMemoryBytes === undefined) return isFree;
  const allowed = maxMemoryBytes - (pool.heldBytes() - keptBytes + promisedBytes);
  if (allowed > free) return isFree;
  const left = `${bytesText(maxMemoryBytes)} leaves ${bytesText(Math.max(0, allowed))}`;
  const words = message`${option("maxMemory")} ${left} beside what the process holds${besides("and")}`;
  return { bytes: allowed, words };
}

/** The stage that needs the most of each limit. */
function needs(memory: readonly StageMemory[], { host, device }: MemoryLimits) {
  const need = (limit: MemoryLimit, bytesOf: (stage: StageMemory) => number) => {
    const stage = largestOf(memory, bytesOf);
    return { stage: stage.stage, bytes: bytesOf(stage), limit };
  };
  if (host === device) return [need(host, ({ bytes }) => bytes)];
  return [need(host, ({ bytes, deviceBytes }) => bytes - deviceBytes), need(device, ({ deviceBytes }) => deviceBytes)];
}

/** Whether all stages of a run stay within the limits. */
function fitsWithin(limits: MemoryLimits, memory: readonly StageMemory[]): boolean {
  return needs(memory, limits).every(({ bytes, limit }) => bytes <= limit.bytes);
}

/** What is there of each pool before a run, for its plan. */
export function poolsBefore(
  { memory }: Pick<Engine, "memory">,
  sessions: Pick<Sessions, "keptBytes">,
  limits: MemoryLimits,
): { host: PoolState; device?: PoolState } {
  const isOnePool = memory.host === memory.device;
  const stateOf = (pool: MemoryPool, keptBytes: number, { bytes }: MemoryLimit) => {
    const heldBytes = pool.heldBytes() - keptBytes;
    return { heldBytes, availableBytes: heldBytes + bytes };
  };
  const host = stateOf(memory.host, isOnePool ? sessions.keptBytes() : 0, limits.host);
  return isOnePool ? { host } : { host, device: stateOf(memory.device, sessions.keptBytes(), limits.device) };
}

/** Holds for a run what its stages need at most of each pool, until what it gives is called; safe to call twice. */
export function reserveMemory({ memory: { host, device } }: Pick<Engine, "memory">, memory: readonly StageMemory[]) {
  const unbounded = { bytes: 0, words: "" };
  const pools = host === device ? [host] : [host, device];
  const limits = { host: unbounded, device: host === device ? unbounded : { ...unbounded } };
  const ends = needs(memory, limits).map(({ bytes }, index) => pools[index]!.reserve(bytes));
  return () => {
    for (const end of ends) end();
  };
}

/** The smallest change that would fit, for a run that does not. */
export function adviceFor(
  limits: MemoryLimits,
  networks: Networks,
  run: Run,
  smaller: readonly SmallerNetworks[],
): Message | undefined {
  const fits = (memory: readonly StageMemory[]) => fitsWithin(limits, memory);
  return fits(stageMemory(networks, run)) ? undefined : advice(fits, networks, run, smaller);
}

/**
 * Throws `out-of-memory` when the largest stage of a run needs more than it may take, and names a change that would
 * fit.
 *
 * @param smaller what of the same networks takes less memory
 */
export function assertFitsInMemory(
  limits: MemoryLimits,
  networks: Networks,
  run: Run,
  smaller: readonly SmallerNetworks[] = [],
): void {
  const lacking = needs(stageMemory(networks, run), limits).find(({ bytes, limit }) => bytes > limit.bytes);
  if (!lacking) return;
  const { numFrames, width, height } = run.settings;
  const need = `the ${lacking.stage} needs about ${bytesText(lacking.bytes)} for ${numFrames} frames of ${width}x${height}`;
  const mend = adviceFor(limits, networks, run, smaller)!;
  throw new StillmotionError("out-of-memory", message`${inCall("generate")}${need}, ${lacking.limit.words}; ${mend}`);
}

/**
 * The error of a run that began: where its memory ran out in the middle, it names a change that would have fitted what
 * may be taken now, and less than what the run was thought to need.
 */
export function whereMemoryRanOut(
  error: unknown,
  limits: MemoryLimits,
  networks: Networks,
  run: Run,
  smaller: readonly SmallerNetworks[] = [],
): unknown {
  if (!isOutOfMemory(error)) return error;
  const needed = largestOf(stageMemory(networks, run), ({ bytes }) => bytes).bytes;
  const fits = (memory: readonly StageMemory[]) =>
    fitsWithin(limits, memory) && memory.every(({ bytes }) => bytes < needed);
  const said = error instanceof StillmotionError ? error.said : (error as Error).message;
  const mend = advice(fits, networks, run, smaller);
  const problem = message`${inCall("generate")}memory ran out (${said}); ${limits.host.words}; ${mend}`;
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
  limits: MemoryLimits,
  networks: Networks,
  run: Run,
  given: Readonly<Record<string, unknown>>,
): Settings {
  const { settings } = run;
  if (given.decodeChunkSize !== undefined || settings.decodeMode !== "exact") return settings;
  const decodingFits = (change: Partial<Settings>) => {
    const memory = stageMemory(networks, { ...run, settings: { ...settings, ...change } });
    const decoder = memory.filter(({ stage }) => stage === "vae decoder");
    return fitsWithin(
      limits,
      decoder.map((stage) => ({ ...stage, bytes: stage.bytes + growthBytes })),
    );
  };
  const changes = [{}, ...[...smallerChunks(settings)].map((decodeChunkSize) => ({ decodeChunkSize }))];
  return { ...settings, ...changes.find(decodingFits) };
}
