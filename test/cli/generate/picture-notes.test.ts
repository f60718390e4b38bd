/**
 * How does the command take a picture's colours and transparency, and what does it say of them?
 *
 * Golden: python -m reference.golden pipeline (reference/golden/pipeline.py), diffusers 0.42.1
 * Golden: python -m reference.golden image (reference/golden/image.py), pillow 13.0.0
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { expect, it } from "vitest";
import { loadImage } from "../../../src/node/image/load-image.ts";
import { readSafetensors } from "../../../src/node/weights.ts";
import { readGolden } from "../../support/golden.ts";
import { scratchFolder, small, stillmotionHere } from "../command.ts";

const raw = { width: 64, height: 64, channels: 4 as const };
/** Red above, green that is hidden below. */
const rgba = Buffer.from(
  Array.from({ length: raw.width * raw.height }, (_, i) =>
    i < (raw.width * raw.height) / 2 ? [220, 30, 20, 255] : [0, 200, 0, 0],
  ).flat(),
);

/** Pictures are opened before the model: what is said of them needs none. */
async function notesOf(path: string, ...flags: string[]): Promise<string[]> {
  const folder = await scratchFolder();
  const missing = ["--model", join(folder, "none"), "-o", join(folder, "clip.gif")];
  const { code, stderr } = await stillmotionHere(["generate", path, ...missing, ...flags]);
  expect(code).toBe(1);
  return stderr.split("\n").filter((line) => line !== "" && !line.startsWith("error: "));
}

it("says that a picture in another colour space is brought to sRGB, or why it is not", async () => {
  const folder = await scratchFolder();
  const golden = await readGolden("image", "golden", "color-profiles.safetensors");
  const picture = async (name: string) => {
    const path = join(folder, name);
    await writeFile(path, Uint8Array.from(golden.tensor(`${name}.file`).data));
    return path;
  };
  const photo = await picture("display-p3.jpg");
  expect(await notesOf(photo)).toEqual([
    'display-p3.jpg has the colour profile "Display P3", brought to sRGB; --color-profile ignore keeps its values',
  ]);
  expect(await notesOf(photo, "--color-profile", "ignore")).toEqual([]);
  expect(await notesOf(await picture("srgb-table.png"))).toEqual([]);
  expect(await notesOf(await picture("cut-off.png"))).toEqual([
    "cut-off.png has a colour profile without a name, ignored: it cannot be used (corrupt profile)",
  ]);
  expect(await notesOf(await picture("cicp-pq.png"))).toEqual([
    "cicp-pq.png has the colours of BT.2020 with PQ (HDR), ignored: PQ (HDR) cannot be brought to sRGB",
  ]);
});

it("says what transparent pixels are put over where the colours that they hide would have shown", async () => {
  const folder = await scratchFolder();
  const write = async (name: string, pixels: Buffer) => {
    const path = join(folder, name);
    await sharp(pixels, { raw }).png().toFile(path);
    return path;
  };
  const hidden = await write("hidden.png", rgba);
  expect(await notesOf(hidden)).toEqual([
    "hidden.png is transparent in places, put over white; --background to choose",
  ]);
  expect(await notesOf(hidden, "--background", "#102030")).toEqual([
    "hidden.png is transparent in places, put over #102030; --background to choose",
  ]);
  expect(await notesOf(hidden, "--background", "none")).toEqual([]);
  const white = Buffer.from(rgba.map((value, i) => (rgba[i - (i % 4) + 3] === 0 && i % 4 < 3 ? 255 : value)));
  expect(await notesOf(await write("hides-white.png", white))).toEqual([]);
});

it("makes the clip of the picture over white, or of its hidden colours", async () => {
  const folder = await scratchFolder();
  const hidden = join(folder, "hidden.png");
  await sharp(rgba, { raw }).png().toFile(hidden);
  const framesOf = async (picture: string, ...flags: string[]) => {
    const clip = join(folder, "clip.safetensors");
    const { code } = await stillmotionHere([
      "generate",
      picture,
      "-o",
      clip,
      ...small,
      "--seed",
      "1",
      "--quiet",
      ...flags,
    ]);
    expect(code).toBe(0);
    return (await readSafetensors(clip)).tensors.frames!.data;
  };
  const opaque = async (name: string, background: string) => {
    const { data, width, height } = await loadImage(hidden, { background });
    await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toFile(join(folder, name));
    return join(folder, name);
  };
  const overWhite = await framesOf(hidden);
  expect(overWhite).toEqual(await framesOf(await opaque("white.png", "white")));
  const shown = await framesOf(hidden, "--background", "none");
  expect(shown).toEqual(await framesOf(await opaque("shown.png", "none")));
  expect(shown).not.toEqual(overWhite);
}, 60_000);

it("plan says the same", async () => {
  const folder = await scratchFolder();
  const hidden = join(folder, "hidden.png");
  await sharp(rgba, { raw }).png().toFile(hidden);
  const { stdout } = await stillmotionHere(["plan", hidden, ...small]);
  expect(stdout).toContain("hidden.png is transparent in places, put over white; --background to choose\n");
}, 60_000);

it("names the flag that is wrong", async () => {
  const run = (...flags: string[]) =>
    stillmotionHere(["plan", "test/pipeline/golden/landscape.png", ...small, ...flags]);
  expect(await run("--background", "whitish")).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^error: --background is "whitish", expected #rrggbb/),
  });
  expect(await run("--color-profile", "p3")).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^error: --color-profile is "p3", expected one of ignore, srgb/),
  });
});
