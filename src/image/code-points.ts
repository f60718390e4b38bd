/** Which colours do the numbers of a picture's colour tag stand for? Primaries and a curve of ITU-T H.273, as a profile. */
import type { ColorTag } from "./icc-profile.ts";
import { type Chromaticity, matrixProfile, type RgbSpace } from "./matrix-profile.ts";

const d65: Chromaticity = [0.3127, 0.329];

type Primaries = Pick<RgbSpace, "red" | "green" | "blue" | "white">;

export const srgbPrimaries: Primaries = { red: [0.64, 0.33], green: [0.3, 0.6], blue: [0.15, 0.06], white: d65 };
const smpte170m: Primaries = { red: [0.63, 0.34], green: [0.31, 0.595], blue: [0.155, 0.07], white: d65 };
const p3 = { red: [0.68, 0.32], green: [0.265, 0.69], blue: [0.15, 0.06] } as const;

/** ITU-T H.273, table 2; 2 means "unspecified". */
const primariesByCode: Readonly<Record<number, readonly [string, Primaries]>> = {
  1: ["BT.709", srgbPrimaries],
  2: ["BT.709", srgbPrimaries],
  4: ["BT.470 M", { red: [0.67, 0.33], green: [0.21, 0.71], blue: [0.14, 0.08], white: [0.31, 0.316] }],
  5: ["BT.470 B/G", { red: [0.64, 0.33], green: [0.29, 0.6], blue: [0.15, 0.06], white: d65 }],
  6: ["BT.601", smpte170m],
  7: ["SMPTE 240M", smpte170m],
  9: ["BT.2020", { red: [0.708, 0.292], green: [0.17, 0.797], blue: [0.131, 0.046], white: d65 }],
  11: ["DCI-P3", { ...p3, white: [0.314, 0.351] }],
  12: ["Display P3", { ...p3, white: d65 }],
  22: ["EBU Tech. 3213-E", { red: [0.63, 0.34], green: [0.295, 0.605], blue: [0.155, 0.077], white: d65 }],
};

/**
 * ITU-T H.273, table 3. The curves of cameras (1, 6, 14, 15 and the like) are taken as that of sRGB: such pictures are looked at on
 * displays with that curve, and programs write 1 where nobody chose a curve.
 */
const curvesByCode: Readonly<Record<number, RgbSpace["curve"]>> = {
  ...Object.fromEntries([1, 2, 6, 7, 11, 12, 13, 14, 15].map((code) => [code, "srgb" as const])),
  4: 2.2,
  5: 2.8,
  8: 1,
};

const otherCurves: Readonly<Record<number, string>> = { 16: "PQ (HDR)", 18: "HLG (HDR)" };

/** The two code points that say how RGB values become colours, 0 to 255 each. */
export interface CodePoints {
  readonly primaries: number;
  readonly transfer: number;
}

/** Undefined where the code points say nothing. */
export function colorTagOf({ primaries, transfer }: CodePoints): ColorTag | undefined {
  if (primaries === 2 && transfer === 2) return undefined;
  const curve = curvesByCode[transfer];
  const [name, chromaticities] = primariesByCode[primaries] ?? [];
  if (!chromaticities) return { name: `primaries ${primaries} of H.273`, problem: "they are not known" };
  if (curve === undefined) {
    const curveName = otherCurves[transfer] ?? `transfer ${transfer} of H.273`;
    return { name: `the colours of ${name} with ${curveName}`, problem: `${curveName} cannot be brought to sRGB` };
  }
  const withCurve = curve === "srgb" ? name : curve === 1 ? `linear ${name}` : `${name} with gamma ${curve}`;
  return { name: `the colours of ${withCurve}`, icc: matrixProfile({ ...chromaticities, curve }) };
}
