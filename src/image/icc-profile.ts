/** What does an ICC profile say of itself? For which values it is, and its name. */
import type { ColorModel } from "./stored-pixels.ts";

/** A colour space with its name for people: as an ICC profile, or with the reason why it has none, which ends a sentence. */
export type ColorTag =
  | { readonly name: string; readonly icc: Uint8Array }
  | { readonly name: string; readonly problem: string };

const models: Readonly<Record<string, ColorModel>> = { GRAY: "grey", "RGB ": "rgb", CMYK: "cmyk" };

/** The values that the profile is for; undefined for values of another kind, and for bytes that are no profile. */
export function profileModel(icc: Uint8Array): ColorModel | undefined {
  return latin1(icc, 36, 4) === "acsp" ? models[latin1(icc, 16, 4)] : undefined;
}

/** True for a profile that leads through tables, so that its primaries do not tell what it does to colours. */
export function hasTables(icc: Uint8Array): boolean {
  return findTag(icc, "A2B0") !== undefined;
}

/**
 * The profile's description, without characters that move a terminal's cursor; undefined where it has none.
 *
 * @source ICC.1:2022, section 10.15 (mluc); ICC.1:2001-04, section 6.5.17 (desc)
 */
export function profileName(icc: Uint8Array): string | undefined {
  const tag = findTag(icc, "desc");
  const text = tag && (latin1(tag, 0, 4) === "mluc" ? firstText(tag) : latin1(tag, 12, lengthAt(tag, 8)));
  const name = text?.replace(/[^\P{C}]/gu, "").trim();
  if (!name) return undefined;
  return name.length > 60 ? `${name.slice(0, 57)}...` : name;
}

/** The first of the languages, in UTF-16 with the high byte first. */
function firstText(mluc: Uint8Array): string {
  const text = mluc.subarray(lengthAt(mluc, 24)).subarray(0, lengthAt(mluc, 20));
  return new TextDecoder("utf-16be").decode(text);
}

function findTag(icc: Uint8Array, name: string): Uint8Array | undefined {
  const count = Math.min(lengthAt(icc, 128), 1000);
  for (let entry = 132; entry < 132 + 12 * count && entry + 12 <= icc.length; entry += 12) {
    if (latin1(icc, entry, 4) === name)
      return icc.subarray(lengthAt(icc, entry + 4)).subarray(0, lengthAt(icc, entry + 8));
  }
  return undefined;
}

function lengthAt(bytes: Uint8Array, at: number): number {
  return at + 4 <= bytes.length ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(at) : 0;
}

function latin1(bytes: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + Math.min(length, 1000)));
}
