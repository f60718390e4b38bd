/** Which repository of the hub, at which revision, does the name of a model stand for? */
import { type Message, message, option, StillmotionError } from "../errors.ts";
import { escaped } from "../printable.ts";
import { assertPlainFileName } from "../weights/names/file-names.ts";
import { knownCheckpoints } from "./known-checkpoints.ts";

/** A model on the hub. */
export interface HubModel {
  /** `organisation/name`. */
  readonly repository: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

/** Of a model whose name has none. */
export const defaultRevision = "main";

/** Names with these endings are files, whatever else they look like. */
const fileEnding = /\.(safetensors|sft|bin|ckpt|pt|pth|pkl|onnx|gguf|json|mp4|webm|gif|webp|png|jpe?g|avif)$/i;

/**
 * The model that a name stands for: one of the short names, or `organisation/name`, each with `@revision` behind it where one is
 * wanted.
 *
 * @param revision in place of one in the name
 * @param problem why the name is no path, for a name that cannot be a model either
 * @throws StillmotionError `invalid-checkpoint` for what is no model's name, `invalid-option` for two different revisions
 */
export function hubModel(
  name: string,
  revision?: string,
  problem = `${escaped(name)}: there is no such folder`,
): HubModel {
  const at = name.lastIndexOf("@");
  const id = at < 0 ? name : name.slice(0, at);
  const ownRevision = at < 0 ? undefined : name.slice(at + 1);
  const known = knownCheckpoints.find(({ shortName }) => shortName === id.toLowerCase());
  const repository = known?.repository ?? id;
  if (!known) checkRepository(id, name, problem);
  if (ownRevision !== undefined && revision !== undefined && ownRevision !== revision) {
    const given = message`${option("revision")} is ${escaped(revision)}`;
    refuse(message`model ${escaped(name)} names a revision, and ${given}; give one of them`);
  }
  const wanted = ownRevision ?? revision ?? defaultRevision;
  checkRevision(wanted);
  return { repository, revision: wanted };
}

/** True for a name that stands for nothing on the hub: nothing but a path can be meant. */
export function looksLikePath(name: string): boolean {
  return (
    /^([./~]|[a-z]:)/i.test(name) ||
    /[\\]|\/$/.test(name) ||
    fileEnding.test(name) ||
    name.replace(/@.*/s, "").split("/").length > 2
  );
}

function checkRepository(id: string, name: string, problem: string): void {
  const parts = id.split("/");
  // huggingface_hub 2.4.0 utils/_validators.py `validate_repo_id`
  const isId =
    !looksLikePath(name) &&
    parts.length === 2 &&
    parts.every((part) => /^[A-Za-z0-9_]([\w.-]{0,94}[A-Za-z0-9_])?$/.test(part)) &&
    !/--|\.\.|\.git$/.test(id);
  if (!isId) {
    const known = knownCheckpoints.map(({ shortName }) => shortName).join(", ");
    throw new StillmotionError(
      "invalid-checkpoint",
      `${problem}; expected a folder in diffusers layout, a file, a model of the hub as org/name, or one of ${known}`,
    );
  }
  for (const part of parts) assertPlainFileName(part, `model ${escaped(name)}`);
}

/** A revision is part of a path in the cache. */
function checkRevision(revision: string): void {
  const isPlain = revision.length <= 200 && !/[\s~^]|\.\.|@\{|\.lock$/.test(revision);
  try {
    for (const segment of revision.split("/")) assertPlainFileName(segment, "revision");
    if (isPlain) return;
  } catch {}
  refuse(message`${option("revision")} is ${escaped(revision)}, expected a branch, a tag or a commit such as main`);
}

function refuse(problem: Message): never {
  throw new StillmotionError("invalid-option", problem);
}
