/** Golden: python -m reference.golden image (reference/golden/image.py), pillow 13.0.0 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import sharp from "sharp";
import { beforeAll, expect, test } from "vitest";
import { loadImage } from "../../../src/node/image/load-image.ts";
import { encodeWebp } from "../../../src/node/video/webp.ts";
import { expectSamePixels, imageFrom } from "../../image/golden-images.ts";
import { pngChunk, pngFile } from "../../image/png-file.ts";
import { readGolden } from "../../support/golden.ts";

const width = 48;
const height = 32;
/** Smooth colours, so that lossy formats stay close. */
const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
  const x = Math.floor(i / 3) % width;
  const y = Math.floor(i / 3 / width);
  return [x * 5, y * 7, 255 - x * 2 - y * 3][i % 3]!;
});
const raw = { raw: { width, height, channels: 3 as const } };
let jpeg: Buffer;
let png: Buffer;
let webp: Buffer;
let avif: Buffer;
let gif: Buffer;

beforeAll(async () => {
  const picture = sharp(data, raw);
  [jpeg, png, webp, avif, gif] = await Promise.all([
    picture.clone().jpeg({ quality: 95, chromaSubsampling: "4:4:4" }).toBuffer(),
    picture.clone().png().toBuffer(),
    picture.clone().webp({ lossless: true }).toBuffer(),
    picture.clone().avif({ quality: 95, chromaSubsampling: "4:4:4" }).toBuffer(),
    picture.clone().gif().toBuffer(),
  ]);
});

function maxDifference(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);
}

test("every kind of picture gives the pixels of diffusers' load_image", async () => {
  const golden = await readGolden("image", "golden", "pictures.safetensors");
  const allowed = golden.details.largest_byte_difference as Record<string, number>;
  expect(Object.keys(allowed).length).toBeGreaterThan(20);
  for (const [name, difference] of Object.entries(allowed)) {
    const loading = loadImage(join(import.meta.dirname, "../../image/golden", name));
    if (name === "animated.webp") {
      await expect(loading).rejects.toMatchObject({
        message: expect.stringContaining("animated.webp: is an animated WebP"),
      });
    } else {
      // Pillow clips 16-bit grey at 255; ours is the 8-bit picture that the file was made from.
      const expected = golden.tensor(name === "grey-16-bit.png" ? "grey.png" : name);
      expectSamePixels(await loading, imageFrom(expected), difference, name);
    }
  }
});

test("lossless formats give the exact pixels, lossy ones close ones", async () => {
  for (const bytes of [png, webp]) expect(await loadImage(bytes)).toEqual({ width, height, data });
  for (const [bytes, tolerance] of [
    [jpeg, 8],
    [avif, 8],
    [gif, 24],
  ] as const) {
    const image = await loadImage(bytes);
    expect([image.width, image.height]).toEqual([width, height]);
    expect(maxDifference(image.data, data)).toBeLessThanOrEqual(tolerance);
  }
});

test("alpha is dropped, not blended, even where it hides everything", async () => {
  const rgba = Buffer.alloc(width * height * 4);
  for (let i = 0; i < width * height; i++)
    rgba.set([...data.subarray(i * 3, i * 3 + 3), i % 7 === 0 ? 0 : i % 256], i * 4);
  const bytes = await sharp(rgba, { raw: { width, height, channels: 4 } })
    .png()
    .toBuffer();
  expect((await loadImage(bytes)).data).toEqual(data);
});

test("16-bit colour and grey keep their upper 8 bits", async () => {
  const deep = Uint16Array.from(data, (value, i) => value * 256 + (i % 256));
  const colour = await sharp(deep, raw).toColourspace("rgb16").png().toBuffer();
  expect((await sharp(colour).metadata()).depth).toBe("ushort");
  expect((await loadImage(colour)).data).toEqual(data);

  const rows = Array.from({ length: 4 }, (_, y) => [0, ...[1, 2, 3].flatMap((x) => [x * 60 + y, 255])]).flat();
  const grey = await loadImage(pngFile(3, 4, 16, 0, Uint8Array.from(rows)));
  const expected = Array.from({ length: 4 }, (_, y) => [1, 2, 3].flatMap((x) => Array(3).fill(x * 60 + y))).flat();
  expect([...grey.data]).toEqual(expected);
});

test("an embedded colour profile leaves the values as stored", async () => {
  const bytes = await sharp(data, raw).withIccProfile("p3").png().toBuffer();
  const stored = await sharp(bytes, { ignoreIcc: true }).raw().toBuffer();
  expect((await sharp(bytes).metadata()).hasProfile).toBe(true);
  expect(maxDifference(stored, data)).toBeGreaterThan(4);
  expect((await loadImage(bytes)).data).toEqual(new Uint8Array(stored));
});

test("the EXIF orientation turns the picture, and XMP where there is no EXIF", async () => {
  for (const format of ["jpeg", "png", "webp"] as const) {
    const turned = await sharp(data, raw)
      .withMetadata({ orientation: 6 })
      .toFormat(format, { lossless: true })
      .toBuffer();
    const upright = await loadImage(turned);
    expect([upright.width, upright.height]).toEqual([height, width]);
  }
  const xmp = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="8"/></x:xmpmeta>';
  const turned = await sharp(data, raw).withXmp(xmp).png().toBuffer();
  expect((await loadImage(turned)).width).toBe(height);
});

test("an animated GIF gives its first frame", async () => {
  const image = await loadImage(await animation("gif"));
  expect([image.width, image.height]).toEqual([width, height / 2]);
  expect(maxDifference(image.data, data.subarray(0, data.length / 2))).toBeLessThanOrEqual(24);
});

/** Two frames: the upper and the lower half of the picture. */
function animation(format: "gif" | "webp"): Promise<Buffer> {
  return sharp(data, { raw: { ...raw.raw, pageHeight: height / 2 } })
    .toFormat(format, { loop: 0, delay: [50, 50] })
    .toBuffer();
}

async function expectRefused(bytes: Uint8Array, message: RegExp, options = {}): Promise<void> {
  await expect(loadImage(bytes, options)).rejects.toMatchObject({
    code: "invalid-image",
    message: expect.stringMatching(message),
  });
}

test.each([0.3, 0.5, 0.9, 0.98])(
  "a file cut off after %s of its bytes is refused, whatever the format",
  async (part) => {
    for (const [name, bytes] of Object.entries({ JPEG: jpeg, PNG: png, WebP: webp, AVIF: avif, GIF: gif })) {
      await expectRefused(
        bytes.subarray(0, Math.floor(bytes.length * part)),
        new RegExp(`this ${name} is cut off or damaged`),
      );
    }
  },
);

test("a JPEG without its last bytes is refused, as in Pillow", async () => {
  const stored = ["progressive.jpg", "grey.jpg", "cmyk.jpg"].map((name) =>
    join(import.meta.dirname, "../../image/golden", name),
  );
  for (const whole of [jpeg, ...(await Promise.all(stored.map((path) => readFile(path))))]) {
    expect([...whole.subarray(-2)]).toEqual([0xff, 0xd9]); // end of image
    for (const missing of [1, 2]) await expectRefused(whole.subarray(0, -missing), /this JPEG is cut off or damaged/);
  }
});

test("a clip of one frame that exportToVideo writes is a still", async () => {
  const still = await loadImage(await encodeWebp([{ width, height, data }], { quality: 100 }));
  expect([still.width, still.height]).toEqual([width, height]);
  expect(maxDifference(still.data, data)).toBeLessThanOrEqual(8);
});

test("a colour profile is applied when asked for, and an error when it cannot be", async () => {
  const inP3 = await sharp(data, raw).withIccProfile("p3").png().toBuffer();
  expect(maxDifference((await loadImage(inP3)).data, data)).toBeGreaterThan(4);
  const inSrgb = await sharp(inP3).raw().toBuffer();
  expect(maxDifference((await loadImage(inP3, { colorProfile: "srgb" })).data, inSrgb)).toBeLessThanOrEqual(1);
  const profile = Buffer.concat([Buffer.from("x\0\0", "latin1"), deflateSync(new Uint8Array(300))]);
  const unusable = Buffer.concat([png.subarray(0, 33), pngChunk("iCCP", profile), png.subarray(33)]);
  expect((await loadImage(unusable)).data).toEqual(data);
  await expect(loadImage(unusable, { colorProfile: "srgb" })).rejects.toMatchObject({
    code: "invalid-image",
    option: "colorProfile",
    message: expect.stringMatching(
      /^image given as bytes: has a colour profile without a name, which cannot be used: it is damaged.*set colorProfile to "ignore"$/,
    ),
  });
});

test("a background is seen through transparent pixels when asked for", async () => {
  const rgba = Buffer.from([...[255, 0, 0, 0], ...[255, 0, 0, 255]]);
  const half = await sharp(rgba, { raw: { width: 2, height: 1, channels: 4 } })
    .png()
    .toBuffer();
  const over = async (background?: string) => [...(await loadImage(half, { background })).data];
  expect(await over()).toEqual([255, 0, 0, 255, 0, 0]);
  expect(await over("none")).toEqual([255, 0, 0, 255, 0, 0]);
  expect(await over("white")).toEqual([255, 255, 255, 255, 0, 0]);
  expect(await over("#0F8")).toEqual([0, 255, 136, 255, 0, 0]);
});

test("a decompression bomb is refused from its header", async () => {
  const bomb = pngFile(30_000, 30_000, 8, 2, new Uint8Array(1000));
  await expectRefused(
    bomb,
    /has 30000x30000 = 900\.0 megapixels, expected at most 50\.0; shrink it, or raise maxPixels/,
  );
});

test("the limits can be set", async () => {
  await expectRefused(png, /has 48x32 = 0\.00 megapixels/, { maxPixels: 1535 });
  await expectRefused(png, /larger than the limit/, { maxBytes: png.length - 1 });
  expect((await loadImage(png, { maxPixels: 1536, maxBytes: png.length })).width).toBe(width);
  for (const limit of [0, -1, Number.NaN, "5"]) {
    await expect(loadImage(png, { maxPixels: limit as number })).rejects.toMatchObject({ code: "invalid-option" });
  }
});

test("an animation is refused where a still is expected", async () => {
  await expectRefused(await animation("webp"), /is an animated WebP, expected a still; save one frame/);
  const control = Buffer.from([0, 0, 0, 2, 0, 0, 0, 0]);
  const animatedPng = Buffer.concat([png.subarray(0, 33), pngChunk("acTL", control), png.subarray(33)]);
  await expectRefused(animatedPng, /is an animated PNG/);
  const sequence = Buffer.from(avif);
  sequence.write("avis", 8, "latin1");
  await expectRefused(sequence, /is an animated AVIF/);
});

test("formats that libvips could read but should not are refused by their bytes, not their names", async () => {
  await expectRefused(
    Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    /looks like an SVG drawing/,
  );
  await expectRefused(await sharp(data, raw).tiff().toBuffer(), /looks like a TIFF image/);
  await expectRefused(
    Buffer.from("<!doctype html><title>404</title>"),
    /looks like a web page \(HTML\), expected JPEG, PNG/,
  );
  await expectRefused(Buffer.from("%PDF-1.4"), /looks like a PDF document/);
});

test("bytes damaged in the middle give an image or an error, never a crash", async () => {
  for (const bytes of [jpeg, png, webp, avif, gif]) {
    for (let at = 4; at < bytes.length; at += Math.ceil(bytes.length / 60)) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 0x5a;
      const result = await loadImage(damaged).catch((error) => error);
      if ("width" in result) expect(result.data.length).toBe(result.width * result.height * 3);
      else expect(result).toMatchObject({ name: "StillmotionError", code: "invalid-image" });
    }
  }
});

test("an aborted signal ends loading", async () => {
  await expect(loadImage(png, { signal: AbortSignal.abort("stop") })).rejects.toMatchObject({ code: "aborted" });
});
