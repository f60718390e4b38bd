/** What is the still picture in a GIF? Its first frame as a GIF of its own, and its place on the canvas. */
import type { Canvas } from "./canvas.ts";

/** A GIF's first frame, as GIFs of one frame that fills them. */
export interface GifFrame {
  /** The frame without transparency: transparent pixels have their palette colour. */
  readonly bytes: Uint8Array;
  /** White where the frame is opaque and black where it is transparent; undefined where all of it is opaque. */
  readonly opacity: Uint8Array | undefined;
  readonly canvas: Canvas;
}

type Rgb = readonly [number, number, number];

const imageSeparator = 0x2c;
const trailer = 0x3b;

/**
 * Cuts out the first frame, so that later ones cost nothing and can do no harm. As in Pillow, a frame that is larger than the
 * canvas widens it. Around a smaller one lies the colour of its transparent index, or else the first colour of its palette.
 *
 * @throws Error when the file ends before the frame's pixels, or holds none
 * @source GIF89a specification, sections 17 to 27; Pillow 13 GifImagePlugin.py `_seek`, `load_prepare`
 */
export function gifFirstFrame(file: Uint8Array): GifFrame {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const globalPalette = paletteBytes(file, 10, 13);
  let transparent: number | undefined;
  let at = 13 + globalPalette.length;
  while (at < file.length && file[at] !== imageSeparator && file[at] !== trailer) {
    const isExtension = file[at] === 0x21;
    const isControl = isExtension && file[at + 1] === 0xf9 && at + 7 <= file.length;
    if (isControl && file[at + 3]! & 1) transparent = file[at + 6]!;
    at = isExtension ? endOfSubBlocks(file, at + 2) : at + 1; // Pillow passes over bytes between the blocks.
  }
  if (file[at] !== imageSeparator || at + 10 > file.length) throw new Error("it ends before its first frame");

  const [left, top, width, height] = [1, 3, 5, 7].map((offset) => view.getUint16(at + offset, true)) as [
    number,
    number,
    number,
    number,
  ];
  const localPalette = paletteBytes(file, at + 9, at + 10);
  const pixels = file.subarray(at + 10 + localPalette.length);
  const isInterlaced = (file[at + 9]! & 0x40) !== 0;
  const frame = (colors: (index: number) => Rgb) => frameFile({ width, height, isInterlaced, colors, pixels });

  const palette = localPalette.length > 0 ? localPalette : globalPalette;
  const colorOf = (index: number) => paletteColor(palette, index);
  const bytes = frame(colorOf);
  return {
    bytes,
    opacity: transparent === undefined ? undefined : frame((index) => (index === transparent ? black : white)),
    canvas: {
      width: Math.max(view.getUint16(6, true), left + width),
      height: Math.max(view.getUint16(8, true), top + height),
      left,
      top,
      around: [...colorOf(transparent ?? 0), transparent === undefined ? 255 : 0],
    },
  };
}

const black: Rgb = [0, 0, 0];
const white: Rgb = [255, 255, 255];

/** Without a palette an index is a level of grey; beyond a palette's end it is black. */
function paletteColor(palette: Uint8Array, index: number): Rgb {
  if (palette.length === 0) return [index, index, index];
  const [red = 0, green = 0, blue = 0] = palette.subarray(index * 3, index * 3 + 3);
  return [red, green, blue];
}

interface Frame {
  readonly width: number;
  readonly height: number;
  readonly isInterlaced: boolean;
  readonly colors: (index: number) => Rgb;
  /** The frame's data, from the LZW code's size on. */
  readonly pixels: Uint8Array;
}

/** A GIF of one frame that fills its canvas, with 256 colours. */
function frameFile({ width, height, isInterlaced, colors, pixels }: Frame): Uint8Array {
  const end = endOfSubBlocks(pixels, 1);
  const size = [width & 255, width >> 8, height & 255, height >> 8];
  const header = [0x47, 0x49, 0x46, 0x38, 0x39, 0x61, ...size, 0, 0, 0]; // GIF89a
  const descriptor = [imageSeparator, 0, 0, 0, 0, ...size, isInterlaced ? 0xc7 : 0x87];
  const palette = Array.from({ length: 256 }, (_, index) => colors(index)).flat();
  const start = Uint8Array.from([...header, ...descriptor, ...palette]);
  const isWhole = end <= pixels.length;
  const still = new Uint8Array(start.length + Math.min(end, pixels.length) + (isWhole ? 1 : 0));
  still.set(start);
  still.set(pixels.subarray(0, end), start.length);
  if (isWhole) still[still.length - 1] = trailer; // if pixels end early, the decoder reports it
  return still;
}

/** The palette that the packed field at `packedAt` announces. */
function paletteBytes(file: Uint8Array, packedAt: number, at: number): Uint8Array {
  const packed = file[packedAt] ?? 0;
  return file.subarray(at, at + (packed & 0x80 ? 3 << ((packed & 7) + 1) : 0));
}

/** Where the chain of length-prefixed blocks at `at` ends; beyond the file when it is cut off. */
function endOfSubBlocks(bytes: Uint8Array, at: number): number {
  while (at < bytes.length) {
    const length = bytes[at]!;
    at += 1 + length;
    if (length === 0) return at;
  }
  return bytes.length + 1;
}
