/** How does Node write an MP4? As every platform does, with minih264 as WebAssembly where no other encoder is given. */
import type { Image } from "../../image/image.ts";
import type { H264Encoder } from "../../video/h264.ts";
import { type EncodeMp4Options, encodeMp4 as encodeMp4With } from "../../video/mp4.ts";
import { encodeH264Wasm } from "./h264-wasm.ts";

interface EncodeMp4InNode extends Omit<EncodeMp4Options, "encoder"> {
  readonly encoder?: H264Encoder | undefined;
}

/** See `encodeMp4` of `src/video/mp4.ts`. */
export function encodeMp4(frames: readonly Image[], options: EncodeMp4InNode = {}): Promise<Uint8Array> {
  return encodeMp4With(frames, { ...options, encoder: options.encoder ?? encodeH264Wasm });
}
