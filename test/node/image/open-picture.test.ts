/**
 * Are stills, transparency and colours those of Pillow, and is what matters noticed?
 *
 * Golden: python -m reference.golden image (reference/golden/image.py), pillow 13.0.0
 */
import sharp from "sharp";
import { expect, test } from "vitest";
import { openPicture } from "../../../src/node/image/open-picture.ts";
import { expectSamePixels, imageFrom } from "../../image/golden-images.ts";
import { type Golden, readGolden } from "../../support/golden.ts";

const names = (golden: Golden) => Object.keys(golden.details.largest_byte_difference as object);
const fileOf = (golden: Golden, name: string) => Uint8Array.from(golden.tensor(`${name}.file`).data);
const allowedFor = (golden: Golden, name: string) =>
  (golden.details.largest_byte_difference as Record<string, number>)[name]!;

/** As stored, and over the golden file's background: each as Pillow has it. */
async function expectAsPillow(golden: Golden, name: string): Promise<void> {
  const background = golden.config.background as string;
  const file = fileOf(golden, name);
  const [stored, over] = [imageFrom(golden.tensor(`${name}.rgb`)), imageFrom(golden.tensor(`${name}.over`))];
  const dropped = await openPicture(file, {});
  expectSamePixels(dropped.image, stored, allowedFor(golden, name), name);
  expect(dropped.putOver, name).toBeUndefined();
  const blended = await openPicture(file, { background });
  expectSamePixels(blended.image, over, allowedFor(golden, name), `${name} over ${background}`);
  const isOther = over.data.some((value, i) => value !== stored.data[i]);
  expect(blended.putOver, name).toBe(isOther ? background : undefined);
}

test("a GIF's first frame lies on its canvas as in Pillow, whatever its place, palette and transparency", async () => {
  const golden = await readGolden("image", "golden", "still-gifs.safetensors");
  expect(names(golden).length).toBeGreaterThan(20);
  for (const name of names(golden)) await expectAsPillow(golden, name);
});

test("an animation of one frame is a still, in WebP, PNG and AVIF, and lies on its canvas as in Pillow", async () => {
  const golden = await readGolden("image", "golden", "still-frames.safetensors");
  expect(names(golden).length).toBeGreaterThan(15);
  for (const name of names(golden)) await expectAsPillow(golden, name);
});

test("transparency of every kind is dropped, or put over the background as Pillow's alpha_composite does", async () => {
  const golden = await readGolden("image", "golden", "transparent.safetensors");
  expect(names(golden).length).toBeGreaterThan(15);
  for (const name of names(golden)) await expectAsPillow(golden, name);
});

test("colours are brought to sRGB as Pillow's ImageCms does; those in sRGB keep their bytes", async () => {
  const golden = await readGolden("image", "golden", "color-profiles.safetensors");
  const expected = golden.details.colors as Record<string, string | { name: string; problem: string } | null>;
  expect(names(golden).length).toBeGreaterThan(55);
  for (const name of names(golden)) {
    const { image, colors } = await openPicture(fileOf(golden, name), { colorProfile: "srgb" });
    expectSamePixels(image, imageFrom(golden.tensor(`${name}.srgb`)), allowedFor(golden, name), name);
    const noticed = expected[name];
    if (noticed === null) expect(colors, name).toBeUndefined();
    else if (typeof noticed === "string") expect(colors, name).toEqual({ name: noticed, problem: undefined });
    else expect(colors, name).toEqual({ ...noticed, problem: expect.stringContaining(noticed!.problem) });
  }
});

test("values stay as stored where profiles are ignored, the default", async () => {
  const golden = await readGolden("image", "golden", "color-profiles.safetensors");
  for (const name of names(golden)) {
    const { image, colors } = await openPicture(fileOf(golden, name), {});
    const stored = imageFrom(golden.tensor(`${name}.rgb`));
    // Decoders of JPEG and AVIF differ in single levels.
    const allowed = /\.(jpg|avif)$/.test(name) ? 4 : 0;
    expectSamePixels(image, stored, allowed, name);
    expect(colors, name).toBeUndefined();
  }
});

test("a colour profile comes before the background, which is in sRGB", async () => {
  const golden = await readGolden("image", "golden", "color-profiles.safetensors");
  const file = fileOf(golden, "alpha.png");
  const brought = await openPicture(file, { colorProfile: "srgb" });
  const { image, colors, putOver } = await openPicture(file, { colorProfile: "srgb", background: "#ff8000" });
  expect({ colors, putOver }).toEqual({ colors: brought.colors, putOver: "#ff8000" });
  // Where the picture is clear the background stands untouched by the profile.
  const [red, green, blue] = [0xff, 0x80, 0];
  const isBackground = (i: number) =>
    image.data[i] === red && image.data[i + 1] === green && image.data[i + 2] === blue;
  expect(image.data.some((_, i) => i % 3 === 0 && isBackground(i))).toBe(true);
});

test("a picture that is converted in several pieces has its last rows as its first", async () => {
  const [width, height] = [6000, 3700];
  const flat = sharp({ create: { width, height, channels: 3, background: { r: 200, g: 40, b: 90 } } });
  const file = await flat.withIccProfile("p3").png({ compressionLevel: 1 }).toBuffer();
  const { image } = await openPicture(file, { colorProfile: "srgb" });
  expect(image.data.length).toBe(width * height * 3);
  const colour = [...image.data.subarray(0, 3)];
  expect(Math.abs(colour[0]! - 200)).toBeLessThanOrEqual(2);
  expect([...image.data.subarray(-3)]).toEqual(colour);
}, 60_000);

test("an option that is none is refused by its name", async () => {
  const golden = await readGolden("image", "golden", "transparent.safetensors");
  const file = fileOf(golden, "opaque.png");
  await expect(openPicture(file, { background: "whitish" })).rejects.toMatchObject({
    code: "invalid-option",
    option: "background",
    message: expect.stringMatching(/^loadImage: background is "whitish", expected #rrggbb, #rgb, white/),
  });
  await expect(openPicture(file, { colorProfile: "p3" as "srgb" })).rejects.toMatchObject({
    code: "invalid-option",
    option: "colorProfile",
    message: 'loadImage: colorProfile is "p3", expected one of ignore, srgb',
  });
});
