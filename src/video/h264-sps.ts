/** What must an H.264 stream say of itself? Its colours and its level, written into the sequence parameter set (SPS). */
import { StillmotionError } from "../errors.ts";

/** What the level depends on. */
export interface StreamRate {
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly bitsPerSecond: number;
}

// Rec. ITU-T H.264 table A-1: level_idc, macroblocks per second, macroblocks per frame, kbit/s.
const levels = [
  [10, 1485, 99, 64],
  [11, 3000, 396, 192],
  [12, 6000, 396, 384],
  [13, 11880, 396, 768],
  [20, 11880, 396, 2000],
  [21, 19800, 792, 4000],
  [22, 20250, 1620, 4000],
  [30, 40500, 1620, 10000],
  [31, 108000, 3600, 14000],
  [32, 216000, 5120, 20000],
  [40, 245760, 8192, 20000],
  [41, 245760, 8192, 50000],
  [42, 522240, 8704, 50000],
  [50, 589824, 22080, 135000],
  [51, 983040, 36864, 240000],
  [52, 2073600, 36864, 240000],
] as const;

/** True when some H.264 level allows frames of this size (up to 4096x2304, or 8688 pixels on the longer side). */
export function fitsH264(width: number, height: number): boolean {
  return levels.some(([, , maxFrame]) => frameFits(width, height, maxFrame));
}

/** The lowest level_idc that allows the stream; the highest one for a rate beyond all of them. */
export function h264Level(rate: StreamRate): number {
  const { width, height, fps, bitsPerSecond } = rate;
  const macroblocks = Math.ceil(width / 16) * Math.ceil(height / 16);
  for (const [level, maxPerSecond, maxFrame, maxKilobits] of levels) {
    if (!frameFits(width, height, maxFrame)) continue;
    if (macroblocks * fps <= maxPerSecond && bitsPerSecond <= maxKilobits * 1000) return level;
  }
  return levels.at(-1)![0];
}

// Section A.3.1: neither side may exceed sqrt(8 * MaxFS) macroblocks.
function frameFits(width: number, height: number, maxFrame: number): boolean {
  const across = Math.ceil(width / 16);
  const down = Math.ceil(height / 16);
  return across * down <= maxFrame && Math.max(across, down) ** 2 <= 8 * maxFrame;
}

/**
 * Completes the decoder configuration of a baseline stream whose SPS has no VUI, as minih264 writes it. Added are a VUI (annex E)
 * that says BT.709, limited range, square pixels and no frame reordering; the given level; and constrained baseline
 * (constraint_set1_flag), which a baseline stream without slice groups is and which hardware decoders look for.
 */
export function describeStream(description: Uint8Array, level: number): Uint8Array {
  // AVCDecoderConfigurationRecord: version, profile, compatibility, level, length size, SPS count, size, SPS, PPS …
  const spsCount = description[5]! & 0x1f;
  if (description[0] !== 1 || spsCount !== 1) {
    throw new StillmotionError("internal", `mp4: the encoder wrote ${spsCount} sequence parameter sets, expected 1`);
  }
  const spsEnd = 8 + ((description[6]! << 8) | description[7]!);
  const sps = withColourInfo(description.subarray(8, spsEnd), level);
  const head = [1, sps[1]!, sps[2]!, sps[3]!, description[4]!, description[5]!, sps.length >> 8, sps.length & 0xff];
  return Uint8Array.from([...head, ...sps, ...description.subarray(spsEnd)]);
}

function withColourInfo(sps: Uint8Array, level: number): Uint8Array {
  const payload = withoutEmulationPrevention(sps);
  if (payload[1] !== 66)
    throw new StillmotionError("internal", `mp4: the encoder wrote profile ${payload[1]}, expected 66`);
  payload[2]! |= 0xc0; // constraint_set0_flag, constraint_set1_flag
  payload[3] = level;

  const bits = [...payload].flatMap((byte) => [7, 6, 5, 4, 3, 2, 1, 0].map((shift) => (byte >> shift) & 1));
  const stopBit = bits.lastIndexOf(1);
  const vuiPresent = stopBit - 1; // the SPS ends with vui_parameters_present_flag and the stop bit
  if (bits[vuiPresent] !== 0)
    throw new StillmotionError("internal", "mp4: the encoder's SPS ends otherwise than without VUI");
  const complete = [...bits.slice(0, vuiPresent), 1, ...vuiBits(), 1];
  while (complete.length % 8 !== 0) complete.push(0);

  const bytes = new Uint8Array(complete.length / 8);
  for (const [index, bit] of complete.entries()) bytes[index >> 3]! |= bit << (7 - (index & 7));
  return withEmulationPrevention(bytes);
}

/** vui_parameters() of section E.1.1. */
function vuiBits(): number[] {
  const bt709 = 1;
  return [
    ...[1, ...fixed(1, 8)], // aspect_ratio_idc: square pixels
    0, // overscan_info_present_flag
    ...[1, ...fixed(5, 3), 0], // video_format unspecified, limited range
    ...[1, ...fixed(bt709, 8), ...fixed(bt709, 8), ...fixed(bt709, 8)], // primaries, transfer, matrix
    ...[1, ...expGolomb(1), ...expGolomb(1)], // chroma sample location, both fields: in the middle of four pixels
    0, // timing_info_present_flag
    ...[0, 0], // no HRD parameters
    0, // pic_struct_present_flag
    ...[1, 1], // bitstream_restriction_flag; motion vectors may point outside
    ...[0, 0, 16, 16].flatMap(expGolomb), // no bound on picture and macroblock bytes; motion vector lengths
    ...[0, 1].flatMap(expGolomb), // max_num_reorder_frames, max_dec_frame_buffering
  ];
}

function fixed(value: number, width: number): number[] {
  return Array.from({ length: width }, (_, index) => (value >> (width - 1 - index)) & 1);
}

/** ue(v) of section 9.1. */
function expGolomb(value: number): number[] {
  const width = 32 - Math.clz32(value + 1);
  return [...fixed(0, width - 1), ...fixed(value + 1, width)];
}

// Section 7.4.1: inside a NAL unit, a byte of 3 is put between two zero bytes and a byte of 0 to 3.
function withoutEmulationPrevention(nal: Uint8Array): Uint8Array {
  return nal.filter((byte, index) => !(byte === 3 && index >= 2 && nal[index - 1] === 0 && nal[index - 2] === 0));
}

function withEmulationPrevention(payload: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (const byte of payload) {
    if (byte <= 3 && out.length >= 2 && out.at(-1) === 0 && out.at(-2) === 0) out.push(3);
    out.push(byte);
  }
  return Uint8Array.from(out);
}
