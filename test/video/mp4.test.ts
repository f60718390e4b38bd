import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BufferSource, EncodedPacketSink, Input, MP4 } from "mediabunny";
import { describe, expect, it } from "vitest";
import { encodeH264Wasm } from "../../src/node/video/h264-wasm.ts";
import { encodeMp4 } from "../../src/node/video/mp4.ts";
import type { H264Encoder } from "../../src/video/h264.ts";
import type { YuvFrame } from "../../src/video/yuv.ts";
import { expectError, expectPsnr, hasProgram, plainClip, stacked, temporaryFolder, testClip } from "./test-clip.ts";

/** The boxes of an MP4 as `moov/trak/mdia/mdhd` to their contents, in the file's order. */
function boxes(bytes: Uint8Array, path = "", found = new Map<string, DataView>()): Map<string, DataView> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // How many bytes of its own come before a box's children.
  const outer: Record<string, number> = { moov: 0, trak: 0, mdia: 0, minf: 0, stbl: 0, stsd: 8, avc1: 78 };
  for (let at = 0; at < bytes.length; at += view.getUint32(at)) {
    const contents = bytes.subarray(at + 8, at + view.getUint32(at));
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const name = path === "" ? type : `${path}/${type}`;
    found.set(name, new DataView(contents.buffer, contents.byteOffset, contents.byteLength));
    if (type in outer) boxes(contents.subarray(outer[type]!), name, found);
  }
  return found;
}

const media = "moov/trak/mdia";
const table = `${media}/minf/stbl`;
const sample = `${table}/stsd/avc1`;

describe("encodeMp4", () => {
  it("writes the index before the data and the colours as BT.709 limited", async () => {
    const found = boxes(await encodeMp4(testClip()));
    expect([...found.keys()].filter((name) => !name.includes("/"))).toEqual(["ftyp", "moov", "mdat"]);
    const colr = found.get(`${sample}/colr`)!;
    expect(new TextDecoder().decode(new Uint8Array(colr.buffer, colr.byteOffset, 4))).toBe("nclx");
    expect([4, 6, 8].map((at) => colr.getUint16(at))).toEqual([1, 1, 1]);
    expect(colr.getUint8(10)).toBe(0);
  });

  it.each([
    [7, 7, 1],
    [24, 24, 1],
    [23.976, 2997, 125],
    [30000 / 1001, 30000, 1001],
    [0.5, 1, 2],
    [60, 60, 1],
  ])("lets each frame last exactly 1/%d s", async (fps, timescale, duration) => {
    const found = boxes(await encodeMp4(testClip({ width: 32, height: 32, frames: 11 }), { fps }));
    expect(found.get(`${media}/mdhd`)!.getUint32(12)).toBe(timescale);
    const stts = found.get(`${table}/stts`)!;
    expect([4, 8, 12].map((at) => stts.getUint32(at))).toEqual([1, 11, duration]);
  });

  it("keeps even sizes and adds one to odd ones", async () => {
    const sizes = [
      [64, 48],
      [63, 47],
      [18, 34],
      [1, 1],
    ] as const;
    for (const [width, height] of sizes) {
      const avc1 = boxes(await encodeMp4(testClip({ width, height, frames: 2 }))).get(sample)!;
      expect([avc1.getUint16(24), avc1.getUint16(26)]).toEqual([width + (width % 2), height + (height % 2)]);
    }
  });

  it("starts with a key frame and has another every two seconds", async () => {
    const bytes = await encodeMp4(testClip({ width: 32, height: 32, frames: 10 }), { fps: 2 });
    const input = new Input({ source: new BufferSource(bytes), formats: [MP4] });
    const track = (await input.getPrimaryVideoTrack())!;
    const kinds = [];
    for await (const packet of new EncodedPacketSink(track).packets()) kinds.push(packet.type);
    expect(kinds.flatMap((kind, index) => (kind === "key" ? index : []))).toEqual([0, 4, 8]);
    expect((await track.getDecoderConfig())!.codec).toBe("avc1.42c00a");
    input.dispose();
  });

  it("gives the same bytes for the same frames and options, alone or side by side", async () => {
    const clip = testClip({ width: 160, height: 96 });
    const options = { fps: 7, metadata: { seed: 1 } };
    const first = Buffer.from(await encodeMp4(clip, options));
    await new Promise((resolve) => setTimeout(resolve, 1100)); // dates count seconds
    const [second, third] = await Promise.all([
      encodeMp4(clip, options),
      encodeMp4(clip, options),
      encodeMp4(testClip()),
    ]);
    expect(first.equals(second!)).toBe(true);
    expect(first.equals(third!)).toBe(true);
  });

  it("makes smaller files of lower quality", async () => {
    const clip = testClip({ width: 160, height: 96 });
    const sizes = await Promise.all([100, 90, 40].map(async (quality) => (await encodeMp4(clip, { quality })).length));
    expect(sizes[0]).toBeGreaterThan(sizes[1]!);
    expect(sizes[1]).toBeGreaterThan(sizes[2]!);
  });

  it("takes another encoder in place of its own, frame by frame", async () => {
    const seen: string[] = [];
    const encoder: H264Encoder = (frames, settings) => {
      seen.push(`${settings.width}x${settings.height} at ${settings.fps}`);
      return encodeH264Wasm(frames, settings);
    };
    const clip = testClip({ width: 33, height: 20 });
    const bytes = await encodeMp4(clip, { fps: 12, encoder });
    expect(seen).toEqual(["34x20 at 12"]);
    expect(Buffer.from(bytes).equals(await encodeMp4(clip, { fps: 12 }))).toBe(true);
  });

  it("leaves the process's handlers for uncaught errors as they were", async () => {
    const count = () => process.listenerCount("uncaughtException") + process.listenerCount("unhandledRejection");
    const before = count();
    await encodeMp4(testClip());
    expect(count()).toBe(before);
  });

  it("stops between two frames, and works again after that", async () => {
    const controller = new AbortController();
    let taken = 0;
    function* counted(frames: Iterable<YuvFrame>) {
      for (const frame of frames) {
        // A timer of the caller's fires between this frame and the next.
        if (++taken === 3) setTimeout(() => controller.abort());
        yield frame;
      }
    }
    const encoder: H264Encoder = (frames, settings) => encodeH264Wasm(counted(frames), settings);
    const clip = testClip({ frames: 10 });
    await expectError(() => encodeMp4(clip, { signal: controller.signal, encoder }), "aborted", /aborted/);
    expect(taken).toBe(3);
    expect((await encodeMp4(testClip())).length).toBeGreaterThan(1000);
  });

  it.each([
    ["no frames", [], {}, /empty list/],
    ["a rate of 0", testClip(), { fps: 0 }, /fps: got 0, expected a number above 0/],
    ["a rate beyond MP4", testClip(), { fps: 1001 }, /expected 0\.001 to 1000 for \.mp4/],
    ["a quality of 0", testClip(), { quality: 0 }, /quality: got 0, expected a whole number from 1 to 100/],
    ["a picture beyond H.264", plainClip([0, 0, 0], { width: 8690, height: 2, frames: 1 }), {}, /size is 8690x2.*8688/],
  ])("refuses %s", async (_, frames, options, message) => {
    await expectError(() => encodeMp4(frames, options), "invalid-option", message);
  });
});

describe.skipIf(!hasProgram("ffprobe", "-version") || !hasProgram("ffmpeg", "-version"))(
  "an MP4 read by ffmpeg",
  () => {
    it("is what was asked for", async () => {
      const path = join(await temporaryFolder(), "clip.mp4");
      await writeFile(
        path,
        await encodeMp4(testClip({ width: 100, height: 62, frames: 14 }), { metadata: { seed: 42 } }),
      );
      const probed = JSON.parse(
        execFileSync("ffprobe", [
          "-v",
          "error",
          "-count_frames",
          "-show_streams",
          "-show_format",
          "-of",
          "json",
          path,
        ]).toString(),
      );
      expect(probed.streams[0]).toMatchObject({
        codec_name: "h264",
        profile: "Constrained Baseline",
        width: 100,
        height: 62,
        pix_fmt: "yuv420p",
        color_range: "tv",
        color_space: "bt709",
        color_transfer: "bt709",
        color_primaries: "bt709",
        chroma_location: "center",
        has_b_frames: 0,
        r_frame_rate: "7/1",
        avg_frame_rate: "7/1",
        nb_read_frames: "14",
        duration: "2.000000",
      });
      expect(JSON.parse(probed.format.tags.comment).stillmotion).toEqual({ seed: 42 });
    });

    async function decoded(bytes: Uint8Array): Promise<Uint8Array> {
      const path = join(await temporaryFolder(), "clip.mp4");
      await writeFile(path, bytes);
      const scaling = ["-sws_flags", "accurate_rnd+full_chroma_int+bicubic"];
      const output = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"];
      return execFileSync("ffmpeg", ["-v", "error", "-i", path, ...scaling, ...output], { maxBuffer: 2 ** 28 });
    }

    it("shows the source's pictures", async () => {
      const clip = testClip({ width: 320, height: 192, frames: 20 });
      expectPsnr(await decoded(await encodeMp4(clip)), stacked(clip), 38);
    });

    it("shows the source's colours", async () => {
      const colours = [
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
        [224, 172, 140],
        [128, 128, 128],
      ] as const;
      for (const colour of colours) {
        const pixels = await decoded(await encodeMp4(plainClip(colour)));
        for (const channel of [0, 1, 2] as const) {
          const values = pixels.filter((_, at) => at % 3 === channel);
          const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
          expect(Math.abs(mean - colour[channel]), `channel ${channel} of ${colour} came back as ${mean}`).toBeLessThan(
            3,
          );
        }
      }
    });

    it("holds an odd size's pixels at its top left", async () => {
      const clip = testClip({ width: 63, height: 47, frames: 1 });
      const pixels = await decoded(await encodeMp4(clip, { quality: 100 })); // (48, 64, 3)
      const cropped = Array.from({ length: 47 }, (_, row) => pixels.subarray(row * 64 * 3, (row * 64 + 63) * 3));
      expectPsnr(Buffer.concat(cropped), clip[0]!.data, 36);
    });
  },
);
