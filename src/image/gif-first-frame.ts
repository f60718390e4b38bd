/** What is the still picture in a GIF? Its first frame, as a GIF of its own without transparency. */

/**
 * The file up to the end of its first frame, so that later frames cost nothing and cannot do harm.
 *
 * The transparent index is switched off: as in Pillow's `convert("RGB")`, transparent pixels keep their palette colour.
 * A file that ends early comes back as it is, for the decoder to report.
 *
 * @source GIF89a specification, sections 17 to 27
 */
export function gifFirstFrame(file: Uint8Array): Uint8Array {
  const bytes = file.slice();
  let at = 13 + paletteBytes(bytes[10] ?? 0);
  while (at < bytes.length) {
    const block = bytes[at];
    if (block === 0x21) {
      if (bytes[at + 1] === 0xf9) bytes[at + 3]! &= ~1; // graphic control extension: transparency flag
      at = endOfSubBlocks(bytes, at + 2);
    } else if (block === 0x2c) {
      const data = at + 10 + paletteBytes(bytes[at + 9] ?? 0);
      const end = endOfSubBlocks(bytes, data + 1);
      return end > bytes.length ? file : withTrailer(bytes.subarray(0, end));
    } else {
      return file;
    }
  }
  return file;
}

/** Bytes of the palette that a packed field announces. */
function paletteBytes(packed: number): number {
  return packed & 0x80 ? 3 << ((packed & 7) + 1) : 0;
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

function withTrailer(bytes: Uint8Array): Uint8Array {
  const complete = new Uint8Array(bytes.length + 1);
  complete.set(bytes);
  complete[bytes.length] = 0x3b;
  return complete;
}
