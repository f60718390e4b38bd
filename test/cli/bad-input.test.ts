import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { encodeSafetensors } from "../../src/weights/safetensors/safetensors.ts";
import { checkpoint, jsonLines, picture, scratchFolder, small, stillmotion, stillmotionHere } from "./command.ts";

const usage = 2;
const failed = 1;

it.each([
  ["--steps 0", usage, "--steps is 0, expected a whole number from 1 to 1000"],
  ["--steps ten", usage, '--steps is "ten", expected a whole number from 1 to 1000'],
  ["--frames 0", usage, "--frames is 0, expected a whole number from 1 to 1024"],
  ["--frames", usage, "option '--frames <n>' argument missing"],
  ["--width 100", usage, "--width is 100, expected a whole number from 16 to 8192, a multiple of 8"],
  ["--decode-chunk-size 0", usage, "--decode-chunk-size is 0, expected a whole number of 1 or more"],
  ["--decode-mode fast", usage, '--decode-mode is "fast", expected exact, reference'],
  ["--scratch-folder nowhere", usage, "--scratch-folder is nowhere, expected a folder in which files can be written"],
  ["--cache-interval 0", usage, "--cache-interval is 0, expected a whole number from 1 to 1000"],
  ["--chunk-feed-forward 100", usage, "--chunk-feed-forward is 100, expected a whole number from 1 to 64"],
  ["--guidance-interval 5", usage, "--guidance-interval is [5], expected a list of 2, each a number of 0 or more"],
  ["--guidance-interval 5,2", usage, "--guidance-interval is [5, 2], expected the first noise level to be the smaller"],
  ["--guidance-interval 0,5 --max-guidance-scale 1", usage, "leave it out, or raise --max-guidance-scale"],
  [
    "--guidance-interval 800,900",
    usage,
    "--guidance-interval is [800, 900], but no noise level of this run lies above",
  ],
  ["--offload disk", usage, '--offload is "disk", expected model or none'],
  ["--memory lots", usage, '--memory is "lots", expected a size such as 8GB, 7.5GiB, 500MB or a number of bytes'],
  ["--memory -8GB", usage, '--memory is "-8GB", expected a size such as 8GB'],
  ["--memory 0", usage, '--memory is "0", expected a size such as 8GB'],
  [
    "--memory 1MB",
    failed,
    "--memory 1.0 MB leaves 0 bytes beside what the process holds; no smaller clip would fit either",
  ],
  ["--fps 0", usage, "--fps is 0, expected a number from 1 to 240"],
  ["--fps nan", usage, '--fps is "nan", expected a number from 1 to 240'],
  ["--motion-bucket-id -1", usage, "--motion-bucket-id is -1, expected a number from 0 to 1023"],
  ["--noise-aug-strength 11", usage, "--noise-aug-strength is 11, expected a number from 0 to 10"],
  ["--max-guidance-scale 101", usage, "--max-guidance-scale is 101, expected a number from 0 to 100"],
  ["--seed 1.5", usage, "--seed is 1.5, expected a whole number from -2^63 to 2^64-1 or a list"],
  ["--seed 1,2", usage, "--seed has 2 entries, expected one for all clips or 1, one for each clip"],
  ["--sigmas 1,2", usage, "--sigmas: number 2 is 2 after 1, expected each smaller than the one before"],
  ["--fit zoom", usage, '--fit is "zoom", expected stretch, crop, pad'],
  ["--threads none", usage, '--threads is "none", expected a whole number of at least 1'],
  ["--stpes 2", usage, "unknown option '--stpes'\n(Did you mean --steps?)"],
  ["-o clip.gif --fps 60", usage, "--fps: got 60, expected 0.01 to 50 for .gif"],
  ["-o clip.mp4", usage, "--output: clip.mp4 is given twice; choose another name"],
  ["-o clip.gif -o ./clip.gif", usage, "is given twice"],
  ["--dtype fp16", failed, '--dtype is "fp16", this version computes in fp32 or int8; weights'],
  ["--device abacus", failed, '--device is "abacus", but this version runs graphs on'],
  ["--model nowhere", failed, "nowhere: there is no such path here; expected a folder in diffusers layout"],
  ["--variant fp8", failed, 'has no weights of the variant "fp8"; leave the --variant out'],
  ["-o clip.avi", failed, "clip.avi: got the extension .avi, expected one of .mp4"],
  ["-o nowhere/clip.gif", failed, "nowhere/clip.gif: the folder nowhere does not exist; create it first"],
  ["--max-pixels 100", failed, "shrink it, or raise --max-pixels"],
  ["--latents package.json", failed, "package.json: is a JSON file, expected a .safetensors file"],
  [
    "--width 8192 --height 8192 --frames 96 --decode-chunk-size 1",
    failed,
    /the unet needs about \d+\.\d TB for 96 frames of 8192x8192, .* --decode-chunk-size 1 would fit/,
  ],
])("refuses %s", async (words, code, message) => {
  const outcome = await stillmotionHere(["generate", picture, "-o", "clip.mp4", ...small, ...words.split(" ")]);
  expect(outcome).toMatchObject({ code, stdout: "" });
  const error = outcome.stderr.slice(outcome.stderr.indexOf("error: "));
  if (typeof message === "string") expect(error).toContain(message);
  else expect(error).toMatch(message);
  expect(error).not.toContain("    at ");
});

it.each([
  [["-o", "clip.mp4"], "missing required argument 'image'"],
  [[picture], "required option '-o, --output <file>' not specified"],
])("refuses generate without %j", async (words, message) => {
  const outcome = await stillmotionHere(["generate", ...words]);
  expect(outcome).toMatchObject({ code: usage, stdout: "" });
  expect(outcome.stderr).toContain(`error: ${message}`);
});

it.each([
  ["--steps 0", usage, "--steps is 0, expected a whole number from 1 to 1000"],
  ["--memory 8", failed, "leaves 0 bytes beside what the process holds"],
  ["--memory 8XB", usage, '--memory is "8XB", expected a size such as 8GB'],
  ["--dtype fp16", failed, '--dtype is "fp16", this version computes in fp32 or int8'],
  ["-o clip.avi", failed, "clip.avi: got the extension .avi, expected one of .mp4"],
  ["--stpes 2", usage, "unknown option '--stpes'"],
])("plan refuses %s, as generate does", async (words, code, message) => {
  const outcome = await stillmotionHere(["plan", picture, ...small, ...words.split(" ")]);
  expect(outcome).toMatchObject({ code, stdout: "" });
  expect(outcome.stderr).toContain(message);
});

it("suggests the command that was meant", async () => {
  const { code, stderr } = await stillmotionHere(["generte", picture]);
  expect({ code, stderr }).toEqual({
    code: usage,
    stderr: "error: unknown command 'generte'\n(Did you mean generate?)\n",
  });
});

it("refuses pictures that cannot be read, and names each", async () => {
  const folder = await scratchFolder();
  await writeFile(join(folder, "text.jpg"), "not a picture");
  for (const [name, message] of [
    ["nothing.jpg", /nothing\.jpg: was not found from/],
    ["text.jpg", /text\.jpg: looks like .*, expected JPEG, PNG, WebP, AVIF or GIF/],
    ["", /is a folder, expected a file/],
  ] as const) {
    const outcome = await stillmotionHere(["generate", join(folder, name), "-o", join(folder, "clip.mp4"), ...small]);
    expect(outcome).toMatchObject({ code: failed, stdout: "" });
    expect(outcome.stderr).toMatch(message);
  }
  expect(await readdir(folder)).toEqual(["text.jpg"]);
});

it("refuses to write over the picture", async () => {
  const folder = await scratchFolder();
  await writeFile(join(folder, "photo.webp"), "stays");
  const outcome = await stillmotionHere([
    ...["generate", join(folder, "photo.webp"), "-o", join(folder, ".", "photo.webp"), ...small],
  ]);
  expect(outcome.code).toBe(usage);
  expect(outcome.stderr).toContain("photo.webp is the picture itself; choose another name");
});

it("refuses starting noise that is not there, or of another shape or number format", async () => {
  const folder = await scratchFolder();
  const path = join(folder, "noise.safetensors");
  const refusal = async (tensors: Parameters<typeof encodeSafetensors>[0]) => {
    await writeFile(path, encodeSafetensors(tensors));
    const { code, stderr } = await stillmotionHere(["generate", picture, "-o", "a.mp4", ...small, "--latents", path]);
    expect(code).toBe(usage);
    return stderr;
  };
  const values = (shape: number[]) => new Float32Array(shape.reduce((product, size) => product * size, 1));
  const tensor = (...shape: number[]) => ({ dtype: "float32", shape, data: values(shape) }) as const;
  expect(await refusal({ noise: tensor(2) })).toContain("holds noise, expected a tensor named latents");
  expect(await refusal({ latents: tensor(2, 4) })).toContain("has latents of shape [2, 4], expected (clips, frames,");
  expect(await refusal({ latents: tensor(2, 4, 8, 8) })).toContain(
    "--latents has shape [1, 2, 4, 8, 8], expected [1, 2, 4, 16, 16]",
  );
  const bytes = { dtype: "uint8", shape: [1, 2, 4, 16, 16], data: new Uint8Array(2048) } as const;
  expect(await refusal({ latents: bytes })).toContain(
    "has latents of uint8, expected float32, float16, bfloat16, float8_e4m3fn, float8_e5m2",
  );
});

it("gives errors as events, and as text with a stack where that is asked for", async () => {
  const args = ["generate", picture, "-o", "clip.mp4", "--model", checkpoint, "--steps", "0"];
  const asEvent = await stillmotionHere([...args, "--json"]);
  expect(asEvent).toMatchObject({ code: usage, stderr: "" });
  const message = "--steps is 0, expected a whole number from 1 to 1000";
  expect(jsonLines(asEvent.stdout)).toEqual([
    { event: "error", code: "invalid-option", message, option: "numInferenceSteps", flag: "--steps" },
  ]);
  const unknown = await stillmotionHere(["generate", picture, "--jsn", "--json"]);
  expect(jsonLines(unknown.stdout)).toMatchObject([{ event: "error", code: "usage" }]);

  const plain = await stillmotion(args);
  expect(plain).toEqual({ code: usage, signal: null, stdout: "", stderr: `error: ${message}\n` });
  const debug = await stillmotion(args, { env: { STILLMOTION_DEBUG: "1" } });
  expect(debug.stderr).toMatch(/^error: --steps is 0.*\nStillmotionError: .*\n {4}at /);
});

it("names the built-in checkpoint when it was not installed", async () => {
  const folder = await scratchFolder();
  await mkdir(join(folder, "cli"));
  await writeFile(join(folder, "package.json"), "{}");
  const { builtInCheckpoint } = await import("../../src/cli/package-files.ts");
  expect(() => builtInCheckpoint(join(folder, "cli", "main.js"))).toThrow(
    /models.tiny: the checkpoint that comes with stillmotion is missing; install stillmotion again, or name another/,
  );
});
