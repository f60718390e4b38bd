/** How do settings travel inside a file? As one line of JSON in ASCII, the same in every format. */
import { message, option, StillmotionError } from "../errors.ts";
import { integerToJson } from "../json/json-integers.ts";

/** What stillmotion stores in a file. */
export interface StoredSettings {
  /** The generation's settings, seed included, as the caller gave them. */
  readonly settings: Record<string, unknown>;
  /** The exact rate; GIF, WebP and PNG cannot hold it themselves. */
  readonly fps: number;
  readonly frames: number;
}

/**
 * The line of JSON, e.g. `{"stillmotion":{"seed":42,"numInferenceSteps":25},"fps":7,"frames":14}`.
 *
 * Characters beyond ASCII are escaped, since comments of GIF and PNG cannot hold them. A bigint beyond 2^53 becomes a
 * decimal string. Throws `invalid-option` for what JSON cannot hold.
 */
export function settingsToText(
  metadata: Readonly<Record<string, unknown>> | undefined,
  fps: number,
  frames: number,
): string {
  const settings: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(metadata ?? {})) {
    if (value !== undefined) settings[name] = jsonValue(value, `.${name}`);
  }
  const json = JSON.stringify({ stillmotion: settings, fps, frames });
  return json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The settings in a file's comment; undefined where stillmotion did not write the comment. */
export function settingsFromText(text: string | undefined): StoredSettings | undefined {
  if (text === undefined || !text.includes('"stillmotion"')) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(parsed) || !isRecord(parsed.stillmotion)) return undefined;
  const { stillmotion: settings, fps, frames } = parsed;
  if (typeof fps !== "number" || !(fps > 0) || !Number.isInteger(frames)) return undefined;
  return { settings, fps, frames: frames as number };
}

function jsonValue(value: unknown, path: string): unknown {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (typeof value === "bigint") return integerToJson(value);
  if (Array.isArray(value)) return value.map((item, index) => jsonValue(item, `${path}[${index}]`));
  if (isPlainObject(value)) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    return Object.fromEntries(entries.map(([name, item]) => [name, jsonValue(item, `${path}.${name}`)]));
  }
  const got =
    typeof value === "number" ? String(value) : typeof value === "object" ? "an object of a class" : typeof value;
  throw new StillmotionError(
    "invalid-option",
    message`${option("metadata")}${path}: got ${got}, expected what JSON can hold (text, finite numbers, true, false, null, lists, plain objects)`,
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (!isRecord(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
