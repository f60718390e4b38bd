/** What is in an AVIF file? Boxes of the ISO base media file format, found by their path. */

/**
 * The contents of each box at a path such as `moov/trak/mdia`, in the order of the file. Boxes that are cut off end where the
 * file does.
 *
 * @source ISO/IEC 14496-12, section 4.2
 */
export function boxesAt(bytes: Uint8Array, path: string): readonly Uint8Array[] {
  return path
    .split("/")
    .reduce<readonly Uint8Array[]>(
      (outer, type) =>
        outer.flatMap((contents) =>
          [...boxesIn(contents)]
            .filter((box) => box.type === type)
            .map((box) => withoutVersion(box.type, box.contents)),
        ),
      [bytes],
    );
}

export interface Box {
  readonly type: string;
  readonly contents: Uint8Array;
}

/** The boxes that lie side by side in these bytes. */
export function* boxesIn(bytes: Uint8Array): Generator<Box> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at + 8 <= bytes.length) {
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const isLong = view.getUint32(at) === 1 && at + 16 <= bytes.length;
    const start = at + (isLong ? 16 : 8);
    const length = isLong ? Number(view.getBigUint64(at + 8)) : view.getUint32(at);
    const end = length === 0 ? bytes.length : at + length;
    if (end < start) return;
    yield { type, contents: bytes.subarray(start, end) };
    at = end;
  }
}

/** `meta` and `iref` hold boxes behind four bytes of version and flags. */
function withoutVersion(type: string, contents: Uint8Array): Uint8Array {
  return type === "meta" || type === "iref" ? contents.subarray(4) : contents;
}
