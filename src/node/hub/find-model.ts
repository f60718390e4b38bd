/** Is what a person names a path here, or a model of the hub? */
import { message, option, StillmotionError } from "../../errors.ts";
import { type HubModel, hubModel } from "../../hub/model-name.ts";
import { escaped } from "../../printable.ts";
import { exists, noSuchPath } from "./nearest-path.ts";

/**
 * What is there under this name comes first; else it is one of the short names, or `organisation/name`, each with
 * `@revision` behind it where one is wanted.
 *
 * @param revision in place of one in the name
 * @throws StillmotionError `invalid-checkpoint` for what can be neither, `invalid-option` for two different revisions
 */
export async function findModel(name: string, revision?: string): Promise<{ path: string } | HubModel> {
  if (!(await exists(name))) return hubModel(name, revision, await noSuchPath(name));
  if (revision === undefined) return { path: name };
  throw new StillmotionError(
    "invalid-option",
    message`model ${escaped(name)} is a path, and ${option("revision")} ${escaped(revision)} is for models of the hub; leave it out`,
  );
}
