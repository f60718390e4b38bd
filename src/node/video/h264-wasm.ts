/** How does Node code H.264 without a native encoder? With minih264 as WebAssembly (npm h264-mp4-encoder). */
import type { H264MP4Encoder } from "h264-mp4-encoder";
import { BufferSource, EncodedPacketSink, Input, MP4 } from "mediabunny";
import { StillmotionError, throwIfAborted } from "../../errors.ts";
import type { H264Encoder, H264Packet, H264Settings, H264Stream } from "../../video/h264.ts";
import { describeStream, h264Level } from "../../video/h264-sps.ts";
import type { YuvFrame } from "../../video/yuv.ts";
import { requireInstalled } from "../installed-package.ts";

// minih264's constant quantisation parameter: 10 is its best, 51 its worst.
const bestQuantizer = 10;
const worstQuantizer = 51;

const idrSlice = 5;

/**
 * Codes with a constant quantisation parameter, so that a frame's quality does not depend on its neighbours. Between frames (about
 * 0.1 s each at 1024x576 on one core) the event loop gets its turn, and the signal is checked.
 */
export const encodeH264Wasm: H264Encoder = async (frames, settings) => {
  const { createH264MP4Encoder } = loadModule();
  const encoder = await createH264MP4Encoder();
  const fileName = `${crypto.randomUUID()}.mp4`; // all encoders of the process share one file system in memory
  try {
    const mp4 = await encodeAll(encoder, fileName, frames, settings);
    const { description, packets } = await readStream(mp4);
    const sizeBytes = packets.reduce((sum, packet) => sum + packet.data.length, 0);
    const bitsPerSecond = (sizeBytes * 8 * settings.fps) / packets.length;
    return { description: describeStream(description, h264Level({ ...settings, bitsPerSecond })), packets };
  } finally {
    if (encoder.FS.readdir("/").includes(fileName)) encoder.FS.unlink(fileName);
    encoder.delete();
  }
};

async function encodeAll(
  encoder: H264MP4Encoder,
  fileName: string,
  frames: Iterable<YuvFrame>,
  { width, height, quality, keyFrameInterval, signal }: H264Settings,
): Promise<Uint8Array> {
  encoder.outputFilename = fileName;
  encoder.width = width;
  encoder.height = height;
  encoder.quantizationParameter = quantizer(quality);
  encoder.groupOfPictures = keyFrameInterval;
  encoder.initialize();
  try {
    for (const frame of frames) {
      encoder.addFrameYuv(frame.data);
      await new Promise((resolve) => setTimeout(resolve));
      throwIfAborted(signal);
    }
  } finally {
    encoder.finalize();
  }
  return encoder.FS.readFile(fileName);
}

function quantizer(quality: number): number {
  return Math.round(worstQuantizer - ((quality - 1) / 99) * (worstQuantizer - bestQuantizer));
}

/** Takes the coded frames out of the file that the encoder wrote. */
async function readStream(mp4: Uint8Array): Promise<H264Stream> {
  const input = new Input({ source: new BufferSource(mp4), formats: [MP4] });
  try {
    const track = await input.getPrimaryVideoTrack();
    const config = await track?.getDecoderConfig();
    if (!track || !config?.description) throw new StillmotionError("internal", "mp4: the encoder wrote no video track");
    const packets: H264Packet[] = [];
    for await (const packet of new EncodedPacketSink(track).packets()) {
      // The file marks every frame as a key frame; the type of the NAL unit after its length tells (table 7-1).
      packets.push({ data: packet.data, isKeyFrame: (packet.data[4]! & 0x1f) === idrSlice });
    }
    return { description: bytesOf(config.description), packets };
  } finally {
    input.dispose();
  }
}

function bytesOf(source: AllowSharedBufferSource): Uint8Array {
  return ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    : new Uint8Array(source);
}

/**
 * Loads the module, and removes the handlers for uncaught errors that its start-up code puts on the process, which would end the
 * host program. It is loaded by `require` and not by `import`, so that nobody else can add a handler in between.
 */
function loadModule(): typeof import("h264-mp4-encoder") {
  const events = ["uncaughtException", "unhandledRejection"];
  const before = events.map((event) => process.rawListeners(event));
  const loaded = requireInstalled("h264-mp4-encoder") as typeof import("h264-mp4-encoder");
  for (const [index, event] of events.entries()) {
    for (const listener of process.rawListeners(event)) {
      if (!before[index]!.includes(listener)) process.removeListener(event, listener as () => void);
    }
  }
  return loaded;
}
