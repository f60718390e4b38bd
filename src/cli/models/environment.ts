/** Where are the hub, its cache and the token? As Python's huggingface_hub reads them from the environment. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { StillmotionError } from "../../errors.ts";
import type { ResolveModelOptions } from "../../node/hub/resolve-model.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface HubSettings extends Pick<ResolveModelOptions, "endpoint" | "token" | "localFilesOnly"> {
  readonly cacheFolder: string;
}

/** huggingface_hub 2.4.0 constants.py and utils/_auth.py. */
export function hubSettings(environment: Environment = process.env): HubSettings {
  const path = (...names: string[]) => expanded(first(environment, ...names), environment);
  const home = path("HF_HOME") ?? join(path("XDG_CACHE_HOME") ?? join(homedir(), ".cache"), "huggingface");
  const offline = first(environment, "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE");
  return {
    cacheFolder: path("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") ?? join(home, "hub"),
    endpoint: first(environment, "HF_ENDPOINT"),
    token: tokenOf(environment, path("HF_TOKEN_PATH") ?? join(home, "token")),
    localFilesOnly: isTrue(offline),
  };
}

function tokenOf(environment: Environment, path: string): string | undefined {
  if (isTrue(environment.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  return first(environment, "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")?.trim() || storedToken(path);
}

function storedToken(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim() || undefined;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new StillmotionError(
      "invalid-option",
      `${path}: the stored token cannot be read (${code}); check HF_TOKEN_PATH`,
      {
        cause,
      },
    );
  }
}

/** The first of the variables that is set and not empty. */
function first(environment: Environment, ...names: readonly string[]): string | undefined {
  return names.map((name) => environment[name]).find((value) => value !== undefined && value.trim() !== "");
}

function isTrue(value: string | undefined): boolean {
  return ["1", "ON", "YES", "TRUE"].includes(value?.toUpperCase() ?? "");
}

/** `~/models` and `$DATA/models`, as a shell would write them out. */
function expanded(path: string | undefined, environment: Environment): string | undefined {
  return path
    ?.replace(/^~(?=$|[/\\])/, homedir())
    .replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced, plain) => environment[braced ?? plain] ?? whole);
}
