/** Which path that exists did somebody mean who mistyped it? */
import { readdir, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { knownCheckpoints } from "../../hub/known-checkpoints.ts";
import { escaped } from "../../printable.ts";

/** Folders with more are not searched, and longer names not compared. */
const mostNames = 2000;
const longestName = 200;

/** `models/svd-xtt: there is no such path here (did you mean models/svd-xt?)` */
export async function noSuchPath(path: string): Promise<string> {
  const shortNames = knownCheckpoints.map(({ shortName }) => shortName);
  const near = (await nearestPath(path)) ?? nearest(shortNames, path);
  const advice = near === undefined ? "" : ` (did you mean ${escaped(near)}?)`;
  return `${escaped(path)}: there is no such path here${advice}`;
}

/**
 * The path with each step that does not exist exchanged for the nearest name in its folder; undefined when none is near.
 * `~`, which shells leave alone inside quotes and after `=`, is the home folder.
 */
async function nearestPath(path: string): Promise<string | undefined> {
  const whole = path.replace(/^~(?=[/\\]|$)/, homedir);
  const steps = whole.split(/[/\\]/).filter((step, index) => step !== "" || index === 0);
  let found = "";
  for (const [index, step] of steps.entries()) {
    const folder = index === 0 ? "." : found || "/";
    const name = (await exists(join(folder, step || "/"))) ? step : await nearestName(folder, step);
    if (name === undefined) return undefined;
    found = index === 0 ? name : `${found}/${name}`;
  }
  return found === "" || found === path ? undefined : found;
}

async function nearestName(folder: string, step: string): Promise<string | undefined> {
  const names = await readdir(folder).catch(() => []);
  return names.length > mostNames || step.length > longestName ? undefined : nearest(names, step);
}

function nearest(names: readonly string[], step: string): string | undefined {
  // One slip in three characters, and no more than three.
  const most = Math.min(3, Math.floor(step.length / 3));
  const near = names
    .filter((name) => Math.abs(name.length - step.length) <= most)
    .map((name) => ({ name, slips: slipsBetween(name.toLowerCase(), step.toLowerCase()) }))
    .filter(({ slips }) => slips <= most)
    .sort((one, other) => one.slips - other.slips || (one.name < other.name ? -1 : 1));
  return near[0]?.name;
}

/** Levenshtein's distance: characters to add, leave out or exchange. */
function slipsBetween(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const exchanged = row[j - 1]! + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(exchanged, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[other.length]!;
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
