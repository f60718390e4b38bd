/** Which colours do a picture's values stand for? What its file says: a profile, or numbers that a profile can be made of. */
import { colorTagOf, srgbPrimaries } from "./code-points.ts";
import { type ColorTag, profileName } from "./icc-profile.ts";
import { boxesAt, boxesIn } from "./iso-boxes.ts";
import { type Chromaticity, matrixProfile } from "./matrix-profile.ts";
import { pngChunks } from "./png-chunks.ts";
import type { ImageFormat } from "./sniff.ts";

/**
 * The colour space that a file names; undefined where it names none, which means sRGB.
 *
 * @param icc the profile that the decoder found in it
 */
export async function colorTag(
  format: ImageFormat,
  file: Uint8Array,
  icc: Uint8Array | undefined,
): Promise<ColorTag | undefined> {
  if (format === "png") return pngTag(new Map([...pngChunks(file)].map(({ name, data }) => [name, data])));
  if (icc) return profileTag(icc);
  if (format === "jpeg" && hasProfileSegment(file)) return damagedProfile;
  return format === "avif" ? avifTag(file) : undefined;
}

const damagedProfile: ColorTag = { name: "a colour profile", problem: "it is damaged" };

function profileTag(icc: Uint8Array): ColorTag {
  const name = profileName(icc);
  return { name: name === undefined ? "a colour profile without a name" : `the colour profile "${name}"`, icc };
}

type Chunks = ReadonlyMap<string, Uint8Array>;

/** The profile is read here, because libpng drops those that it finds fault with, such as one for RGB in a grey picture. */
async function pngTag(chunks: Chunks): Promise<ColorTag | undefined> {
  const profile = chunks.get("iCCP");
  if (chunks.has("cICP")) return pngCodePoints(chunks.get("cICP")!);
  if (!profile) return chunks.has("sRGB") ? undefined : pngGammaTag(chunks);
  const icc = await inflated(profile.subarray(profile.indexOf(0) + 2));
  return icc ? profileTag(icc) : damagedProfile;
}

/** Undefined where the data are damaged or unreasonably large. */
async function inflated(zlib: Uint8Array): Promise<Uint8Array | undefined> {
  const largestBytes = 16e6;
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    const stream = new Blob([zlib.slice()]).stream().pipeThrough(new DecompressionStream("deflate"));
    for await (const piece of stream) {
      length += piece.length;
      if (length > largestBytes) return undefined;
      pieces.push(piece);
    }
  } catch {
    return undefined;
  }
  return new Uint8Array(await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}

/** @source PNG Specification (Third Edition), sections 4.3 and 11.3.2.6 */
function pngCodePoints(chunk: Uint8Array): ColorTag | undefined {
  const [primaries, transfer, matrix, fullRange] = chunk as unknown as [number, number, number, number];
  const tag = colorTagOf({ primaries, transfer });
  if (tag && (matrix !== 0 || fullRange !== 1)) {
    return { name: tag.name, problem: "its values do not use the full range of RGB" };
  }
  return tag;
}

function pngGammaTag(chunks: Chunks): ColorTag | undefined {
  const gamma = uint32s(chunks.get("gAMA"))[0];
  const [whiteX, whiteY, redX, redY, greenX, greenY, blueX, blueY] = uint32s(chunks.get("cHRM")).map((n) => n / 1e5);
  const hasPrimaries = blueY !== undefined;
  if (!gamma && !hasPrimaries) return undefined;
  const primaries = hasPrimaries
    ? {
        white: [whiteX, whiteY] as Chromaticity,
        red: [redX, redY] as Chromaticity,
        green: [greenX, greenY] as Chromaticity,
        blue: [blueX, blueY] as Chromaticity,
      }
    : srgbPrimaries;
  const curve = gamma && !isSrgbGamma(gamma) ? 1e5 / gamma : "srgb";
  const name = curve === "srgb" ? "primaries of its own" : `a gamma of ${Number(curve.toFixed(2))}`;
  try {
    return { name, icc: matrixProfile({ ...primaries, curve }) };
  } catch (error) {
    return { name, problem: `they cannot be used (${(error as Error).message})` };
  }
}

/** True where the header has a profile, whole or not. */
function hasProfileSegment(jpeg: Uint8Array): boolean {
  const startOfScan = 0xda;
  const app2 = 0xe2;
  for (let at = 2; jpeg[at] === 0xff && jpeg[at + 1] !== startOfScan; at += 2 + jpeg[at + 2]! * 256 + jpeg[at + 3]!) {
    if (jpeg[at + 1] === app2 && String.fromCharCode(...jpeg.subarray(at + 4, at + 15)) === "ICC_PROFILE") return true;
  }
  return false;
}

/** True for 1 / 2.2, which the specification asks for beside `sRGB`, for programs that do not know that chunk. */
function isSrgbGamma(gamma: number): boolean {
  return Math.abs(gamma - 45455) <= 500;
}

/**
 * The `nclx` box of the primary item.
 *
 * @source ISO/IEC 14496-12, section 12.1.5 (colr); ISO/IEC 23008-12, section 9.3.2 (ipma)
 */
function avifTag(file: Uint8Array): ColorTag | undefined {
  const properties = boxesAt(file, "meta/iprp/ipco").flatMap((contents) => [...boxesIn(contents)]);
  for (const index of primaryProperties(file)) {
    const { type, contents } = properties[index - 1] ?? {};
    if (type !== "colr" || !contents || contents.length < 8) continue;
    if (String.fromCharCode(...contents.subarray(0, 4)) !== "nclx") continue;
    const view = new DataView(contents.buffer, contents.byteOffset);
    return colorTagOf({ primaries: view.getUint16(4), transfer: view.getUint16(6) });
  }
  return undefined;
}

/** The numbers, from 1 up, of the properties that the primary item has. */
function primaryProperties(file: Uint8Array): readonly number[] {
  const [primary] = boxesAt(file, "meta/pitm");
  const [association] = boxesAt(file, "meta/iprp/ipma");
  if (!primary || !association) return [];
  const reader = numberReader(primary);
  const primaryId = reader.next(4) >>> 24 === 0 ? reader.next(2) : reader.next(4);

  const { next } = numberReader(association);
  const versionAndFlags = next(4);
  const idBytes = versionAndFlags >>> 24 === 0 ? 2 : 4;
  const indexBytes = versionAndFlags & 1 ? 2 : 1;
  const items = next(4);
  for (let item = 0; item < items; item++) {
    const id = next(idBytes);
    const count = next(1);
    if (Number.isNaN(count)) return [];
    const indices = Array.from({ length: count }, () => next(indexBytes) & (indexBytes === 2 ? 0x7fff : 0x7f));
    if (id === primaryId) return indices;
  }
  return [];
}

/** Reads numbers one after the other, the high byte first; NaN beyond the end. */
function numberReader(bytes: Uint8Array): { next(sizeBytes: number): number } {
  let at = 0;
  return {
    next(sizeBytes) {
      const digits = bytes.subarray(at, at + sizeBytes);
      at += sizeBytes;
      return digits.length < sizeBytes ? Number.NaN : digits.reduce((number, byte) => number * 256 + byte, 0);
    },
  };
}

function uint32s(bytes: Uint8Array | undefined): number[] {
  if (!bytes) return [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) => view.getUint32(index * 4));
}
