/** What does an H.264 encoder take and give? The seam between the MP4 writer and whichever encoder a machine has. */
import type { YuvFrame } from "./yuv.ts";

/** What the encoder is asked for. */
export interface H264Settings {
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  /** 1 to 100. */
  readonly quality: number;
  /** A key frame at least every so many frames. */
  readonly keyFrameInterval: number;
  readonly signal: AbortSignal | undefined;
}

/** One coded frame: NAL units, each after its length in four bytes (AVCC). */
export interface H264Packet {
  readonly data: Uint8Array;
  readonly isKeyFrame: boolean;
}

/** A coded clip in display order, without B-frames. */
export interface H264Stream {
  /** AVCDecoderConfigurationRecord of ISO/IEC 14496-15: profile, level, SPS (with BT.709 in its VUI) and PPS. */
  readonly description: Uint8Array;
  readonly packets: readonly H264Packet[];
}

/** Codes frames one after the other; it pulls the next one when it is ready for it. */
export type H264Encoder = (frames: Iterable<YuvFrame>, settings: H264Settings) => Promise<H264Stream>;
