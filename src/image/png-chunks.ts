/** What does a PNG say before its pixels? Its chunks up to the first IDAT. */

export interface PngChunk {
  readonly name: string;
  readonly data: Uint8Array;
}

/** The chunks in their order, up to the first IDAT or the end of the file. */
export function* pngChunks(bytes: Uint8Array): Generator<PngChunk> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 8;
  while (at + 12 <= bytes.length) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (name === "IDAT") return;
    yield { name, data: bytes.subarray(at + 8, at + 8 + length) };
    at += 12 + length;
  }
}
