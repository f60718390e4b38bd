/** How does a command find the model that it was given? As the hub's part does, with what the environment says. */
import { hubModel, looksLikePath } from "../hub/model-name.ts";
import { type ResolveModelOptions, resolveModel } from "../hub/resolve-model.ts";
import { hubSettings } from "./models-environment.ts";

export type ModelFlags = Pick<ResolveModelOptions, "revision" | "variant" | "localFilesOnly" | "signal" | "onProgress">;

/** @returns a folder or a file; what is missing was downloaded */
export async function findModelFolder(name: string, flags: ModelFlags = {}): Promise<string> {
  const settings = hubSettings();
  const localFilesOnly = flags.localFilesOnly || settings.localFilesOnly;
  return resolveModel(name, { ...settings, ...flags, localFilesOnly });
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
