/** How does a command find the model that it was given? As the library does, with what the environment says of the hub. */
import { hubModel, looksLikePath } from "../../hub/model-name.ts";
import { type ResolveModelOptions, resolveModel } from "../../node/hub/resolve-model.ts";
import { hubSettings } from "./environment.ts";

type ModelFlags = Pick<ResolveModelOptions, "revision" | "variant" | "localFilesOnly" | "signal" | "onProgress">;

/** @returns a folder or a file; what is missing was downloaded */
export async function findModelFolder(name: string, flags: ModelFlags = {}): Promise<string> {
  return resolveModel(name, hubOptions(flags));
}

/** What the environment says, and the flags. */
export function hubOptions(flags: ModelFlags): ModelFlags {
  const settings = hubSettings();
  return { ...settings, ...flags, localFilesOnly: flags.localFilesOnly || settings.localFilesOnly };
}

/** True for a name that the hub may have: a short name, or `org/name`. */
export function mayBeHubModel(name: string): boolean {
  if (looksLikePath(name)) return false;
  try {
    hubModel(name);
    return true;
  } catch {
    return false;
  }
}
