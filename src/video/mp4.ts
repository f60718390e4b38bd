/** How do frames become an MP4 that every browser and phone plays? H.264 in 4:2:0, BT.709, index before the data. */
import { BufferTarget, EncodedPacket, EncodedVideoPacketSource, Mp4OutputFormat, Output } from "mediabunny";
import { StillmotionError, throwIfAborted } from "../errors.ts";
import type { Image } from "../image/image.ts";
import { clipSize, type EncodeOptions } from "./clip.ts";
import { checkedFps } from "./frame-rate.ts";
import type { H264Encoder, H264Stream } from "./h264.ts";
import { fitsH264 } from "./h264-sps.ts";
import { settingsToText } from "./metadata.ts";
import { checkedQuality } from "./quality.ts";
import { rgbToYuv } from "./yuv.ts";

export interface EncodeMp4Options extends EncodeOptions {
  /** 1 (smallest file) to 100 (best picture). Default 90. */
  readonly quality?: number | undefined;
  /** Codes the frames. */
  readonly encoder: H264Encoder;
}

const defaultQuality = 90; // quantisation parameter 14
const keyFrameSeconds = 2;

/**
 * Codes a clip as MP4.
 *
 * The file has one H.264 track (constrained baseline, 4:2:0, BT.709 limited range, said in the stream and in the `colr`
 * box), each frame lasting exactly `1 / fps` seconds, `moov` before `mdat`, and the settings as its comment. H.264 in
 * 4:2:0 has even sizes only: an odd width or height grows by one, the last column or row repeated. The same frames and
 * options give the same bytes.
 *
 * @param frames pictures of one size, up to 36864 macroblocks of 16x16 (4096x2304)
 * @param options `fps` 0.001 to 1000, default 7; `quality` 1 to 100, default 90
 * @throws StillmotionError `invalid-option` for no frames, frames of two sizes, a size or a rate out of range; `aborted`
 * @example
 * const bytes = await encodeMp4(frames, { encoder, fps: 7, metadata: { seed: 42 } });
 */
export async function encodeMp4(frames: readonly Image[], options: EncodeMp4Options): Promise<Uint8Array> {
  const size = clipSize(frames);
  const width = size.width + (size.width % 2);
  const height = size.height + (size.height % 2);
  if (!fitsH264(width, height)) {
    throw new StillmotionError(
      "invalid-option",
      `frames: size is ${size.width}x${size.height}, expected at most 36864 macroblocks of 16x16 pixels (4096x2304) ` +
        "and no side above 8688 for H.264; resize the frames, or write a .webp or .png",
    );
  }
  const fps = checkedFps(options.fps, "mp4");
  const quality = checkedQuality(options.quality, defaultQuality);
  const comment = settingsToText(options.metadata, fps, frames.length);
  const { encoder, signal } = options;
  throwIfAborted(signal);

  const keyFrameInterval = Math.max(1, Math.round(keyFrameSeconds * fps));
  const settings = { width, height, fps, quality, keyFrameInterval, signal };
  const stream = await encoder(yuvFrames(frames), settings);
  throwIfAborted(signal);
  return withoutDates(await mux(stream, width, height, fps, comment));
}

function* yuvFrames(frames: readonly Image[]) {
  for (const frame of frames) yield rgbToYuv(frame);
}

async function mux(
  stream: H264Stream,
  width: number,
  height: number,
  fps: number,
  comment: string,
): Promise<Uint8Array> {
  const { description, packets } = stream;
  const codec = `avc1.${[1, 2, 3].map((index) => description[index]!.toString(16).padStart(2, "0")).join("")}`;
  const colorSpace = { primaries: "bt709", transfer: "bt709", matrix: "bt709", fullRange: false } as const;
  const decoderConfig = { codec, codedWidth: width, codedHeight: height, description, colorSpace };

  const target = new BufferTarget();
  const output = new Output({ format: new Mp4OutputFormat({ fastStart: "in-memory" }), target });
  const track = new EncodedVideoPacketSource("avc");
  output.addVideoTrack(track, { frameRate: fps });
  output.setMetadataTags({ comment });
  await output.start();
  for (const [index, packet] of packets.entries()) {
    const kind = packet.isKeyFrame ? "key" : "delta";
    await track.add(new EncodedPacket(packet.data, kind, index / fps, 1 / fps), { decoderConfig });
  }
  await output.finalize();
  return new Uint8Array(target.buffer!);
}

// ISO/IEC 14496-12: the boxes that hold creation and modification times, and the ones that lead to them.
const datedBoxes = new Set(["mvhd", "tkhd", "mdhd"]);
const outerBoxes = new Set(["moov", "trak", "mdia"]);

/** Sets the dates of an MP4 to "unknown" (0), in place, so that equal clips are equal files. */
function withoutDates(mp4: Uint8Array): Uint8Array {
  const view = new DataView(mp4.buffer, mp4.byteOffset, mp4.byteLength);
  const visit = (start: number, end: number) => {
    for (let at = start; at + 8 <= end; ) {
      const shortSize = view.getUint32(at);
      const size = shortSize === 1 ? Number(view.getBigUint64(at + 8)) : shortSize;
      const type = String.fromCharCode(...mp4.subarray(at + 4, at + 8));
      if (outerBoxes.has(type)) visit(at + 8, at + size);
      const version = mp4[at + 8];
      if (datedBoxes.has(type)) mp4.fill(0, at + 12, at + 12 + (version === 1 ? 16 : 8));
      at += size;
    }
  };
  visit(0, mp4.length);
  return mp4;
}
