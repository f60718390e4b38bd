/** How is the list of cached models shown to a person? The models that can be run, and how much the others take. */
import { bytesText } from "../../byte-sizes.ts";
import { knownCheckpoint } from "../../hub/known-checkpoints.ts";
import type { CachedModel, CachedRevision } from "../../node/hub/cached-models.ts";
import { countText } from "../units.ts";

export function modelLines(cacheFolder: string, models: readonly CachedModel[]): string[] {
  const ours = models.filter((model) => model.isVideoModel || knownCheckpoint(model.repository));
  const others = models.filter((model) => !ours.includes(model));
  const lines = ours.flatMap((model) => [titleOf(model), ...model.revisions.map(revisionLine)]);
  if (ours.length === 0)
    lines.push("no model that makes clips is in the cache; stillmotion models pull svd-xt gets one");
  if (others.length > 0) {
    const size = bytesText(others.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
    lines.push(`${countText(others.length, "model")} of other kinds, ${size}`);
  }
  return [...lines, `cache: ${cacheFolder}`];
}

function titleOf({ repository, sizeBytes }: CachedModel): string {
  const known = knownCheckpoint(repository);
  return `${repository}${known ? ` (${known.shortName})` : ""}: ${bytesText(sizeBytes)}`;
}

/** E.g. `  main 9e43909: plain, fp16, 13.2 GB`. */
export function revisionLine({ commit, refs, variants, sizeBytes, problem }: CachedRevision): string {
  const name = [...refs, commit.slice(0, 7)].join(" ");
  const state =
    problem === undefined ? variants.map((variant) => variant || "plain").join(", ") : `incomplete: ${problem}`;
  return `  ${name}: ${state}, ${bytesText(sizeBytes)}`;
}
