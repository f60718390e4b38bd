/** Which ICC profile stands for primaries, a white point and a curve? One of three matrix columns and one curve for all. */

/** x and y of CIE 1931. */
export type Chromaticity = readonly [number, number];

export interface RgbSpace {
  readonly red: Chromaticity;
  readonly green: Chromaticity;
  readonly blue: Chromaticity;
  readonly white: Chromaticity;
  /** That of sRGB, or the exponent that leads from values to light. */
  readonly curve: "srgb" | number;
}

type Vector = readonly [number, number, number];
type Matrix = readonly [Vector, Vector, Vector];

/**
 * An ICC profile, version 4, for a display of these colours.
 *
 * @throws RangeError for primaries that lie on one line, or a white without light
 * @source ICC.1:2022, sections 7.2, 8.4.3, 10.18 (para), 10.31 (XYZ) and annex E
 */
export function matrixProfile({ red, green, blue, white, curve }: RgbSpace): Uint8Array {
  const columns = toD50(rgbToXyz(red, green, blue, white), white);
  const tags: readonly (readonly [string, Uint8Array])[] = [
    ["wtpt", xyzTag(d50)],
    ["rXYZ", xyzTag(columnOf(columns, 0))],
    ["gXYZ", xyzTag(columnOf(columns, 1))],
    ["bXYZ", xyzTag(columnOf(columns, 2))],
    ...["rTRC", "gTRC", "bTRC"].map((name) => [name, curveTag(curve)] as const),
  ];
  const tableBytes = 4 + 12 * tags.length;
  const length = tags.reduce((sum, [, data]) => sum + data.length, headerBytes + tableBytes);
  const profile = new Uint8Array(length);
  const view = new DataView(profile.buffer);
  view.setUint32(0, length);
  view.setUint32(8, 0x04400000); // version 4.4
  writeText(profile, 12, "mntrRGB XYZ ");
  writeText(profile, 36, "acsp");
  profile.set(s15Fixed16(d50), 68);
  view.setUint32(headerBytes, tags.length);
  let at = headerBytes + tableBytes;
  for (const [index, [name, data]] of tags.entries()) {
    const entry = headerBytes + 4 + 12 * index;
    writeText(profile, entry, name);
    view.setUint32(entry + 4, at);
    view.setUint32(entry + 8, data.length);
    profile.set(data, at);
    at += data.length;
  }
  return profile;
}

const headerBytes = 128;
const d50: Vector = [0.9642, 1, 0.8249];

/** Columns: XYZ of full red, green and blue, which add up to white. */
function rgbToXyz(red: Chromaticity, green: Chromaticity, blue: Chromaticity, white: Chromaticity): Matrix {
  const primaries = transposed([xyzOf(red), xyzOf(green), xyzOf(blue)]);
  const [r, g, b] = times(inverse(primaries), xyzOf(white));
  return primaries.map(([x, y, z]) => [x * r, y * g, z * b] as const) as unknown as Matrix;
}

/** The colours as an eye that is used to D50 sees them: the Bradford transform. */
function toD50(columns: Matrix, white: Chromaticity): Matrix {
  const bradford: Matrix = [
    [0.8951, 0.2664, -0.1614],
    [-0.7502, 1.7135, 0.0367],
    [0.0389, -0.0685, 1.0296],
  ];
  const [from, to] = [times(bradford, xyzOf(white)), times(bradford, d50)];
  const scaled = bradford.map((row, i) => row.map((value) => (value * to[i]!) / from[i]!)) as unknown as Matrix;
  const adapt = (xyz: Vector) => times(inverse(bradford), times(scaled, xyz));
  return transposed([adapt(columnOf(columns, 0)), adapt(columnOf(columns, 1)), adapt(columnOf(columns, 2))]);
}

/** XYZ of a chromaticity, with Y = 1. */
function xyzOf([x, y]: Chromaticity): Vector {
  return [x / y, 1, (1 - x - y) / y];
}

function columnOf([top, middle, bottom]: Matrix, column: 0 | 1 | 2): Vector {
  return [top[column], middle[column], bottom[column]];
}

function transposed(matrix: Matrix): Matrix {
  return [columnOf(matrix, 0), columnOf(matrix, 1), columnOf(matrix, 2)];
}

function times(matrix: Matrix, [x, y, z]: Vector): Vector {
  const [first, second, third] = matrix.map(([a, b, c]) => a * x + b * y + c * z);
  return [first!, second!, third!];
}

function inverse([[a, b, c], [d, e, f], [g, h, i]]: Matrix): Matrix {
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  if (!(Math.abs(determinant) > 1e-9)) throw new RangeError("its primaries span no colours");
  const cofactors: Matrix = [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ];
  return cofactors.map((row) => row.map((value) => value / determinant)) as unknown as Matrix;
}

function xyzTag(xyz: Vector): Uint8Array {
  const tag = new Uint8Array(20);
  writeText(tag, 0, "XYZ ");
  tag.set(s15Fixed16(xyz), 8);
  return tag;
}

/** A parametric curve. That of sRGB has five parameters (g, a, b, c, d), a power has one. */
function curveTag(curve: RgbSpace["curve"]): Uint8Array {
  const parameters = curve === "srgb" ? [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045] : [curve];
  const tag = new Uint8Array(12 + 4 * parameters.length);
  writeText(tag, 0, "para");
  new DataView(tag.buffer).setUint16(8, curve === "srgb" ? 3 : 0);
  tag.set(s15Fixed16(parameters), 12);
  return tag;
}

/** Numbers of 32 bits, of which 16 are behind the point. */
function s15Fixed16(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of values.entries()) view.setInt32(index * 4, Math.round(value * 65536));
  return bytes;
}

function writeText(bytes: Uint8Array, at: number, text: string): void {
  bytes.set(
    Uint8Array.from(text, (character) => character.charCodeAt(0)),
    at,
  );
}
