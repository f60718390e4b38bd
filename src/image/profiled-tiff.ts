/** How does libvips learn the profile of values that are decoded already? From a TIFF that is written around them, in memory. */

export interface ProfiledPixels {
  readonly width: number;
  readonly height: number;
  /** 1 for grey, 3 for RGB, 4 for CMYK. */
  readonly channels: 1 | 3 | 4;
  /** (height, width, channels) */
  readonly data: Uint8Array;
}

const short = 3;
const long = 4;
const undefinedBytes = 7;

/**
 * An uncompressed TIFF of one strip.
 *
 * @source TIFF 6.0, sections 2, 3 and 16; tag 34675: ICC.1:2022, annex B.4
 */
export function profiledTiff({ width, height, channels, data }: ProfiledPixels, icc: Uint8Array): Uint8Array {
  const tagCount = 10;
  const bitsAt = 8 + 2 + 12 * tagCount + 4;
  const profileAt = bitsAt + 8;
  const pixelsAt = profileAt + icc.length + (icc.length % 2);
  const tags: readonly (readonly [tag: number, type: number, count: number, value: number])[] = [
    [256, long, 1, width],
    [257, long, 1, height],
    channels === 1 ? [258, short, 1, 8] : [258, short, channels, bitsAt], // bits a channel
    [259, short, 1, 1], // not compressed
    [262, short, 1, { 1: 1, 3: 2, 4: 5 }[channels]], // grey from black up, RGB or CMYK
    [273, long, 1, pixelsAt],
    [277, short, 1, channels],
    [278, long, 1, height], // rows a strip
    [279, long, 1, data.length],
    [34675, undefinedBytes, icc.length, profileAt],
  ];
  const file = new Uint8Array(pixelsAt + data.length);
  const view = new DataView(file.buffer);
  file.set([0x49, 0x49, 42, 0, 8]); // little endian; the tags are at 8
  view.setUint16(8, tagCount, true);
  for (const [index, [tag, type, count, value]] of tags.entries()) {
    const at = 10 + 12 * index;
    view.setUint16(at, tag, true);
    view.setUint16(at + 2, type, true);
    view.setUint32(at + 4, count, true);
    view.setUint32(at + 8, value, true);
  }
  for (let channel = 0; channel < 4; channel++) view.setUint16(bitsAt + 2 * channel, 8, true);
  file.set(icc, profileAt);
  file.set(data, pixelsAt);
  return file;
}
