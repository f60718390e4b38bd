/** Are names with characters of URLs and patterns taken as they are? */
import { cp, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readClipMetadata } from "../../src/node/video/read-metadata.ts";
import { encodeSafetensors } from "../../src/weights/safetensors/safetensors.ts";
import { checkpoint, jsonLines, picture, scratchFolder, small, stillmotion, stillmotionHere } from "./command.ts";

const isWindows = process.platform === "win32";

it.skipIf(isWindows)("reads and writes files of any name, and prints each as it was given", async () => {
  const folder = await scratchFolder();
  const [photo, model, unet, noise] = ["cam-2024-05-01T12:30:11.png", "m:1 #%20?", "u:0.8.safetensors", "http:n#1"];
  await cp(picture, join(folder, photo));
  await cp(checkpoint, join(folder, model), { recursive: true });
  await cp(join(checkpoint, "unet", "diffusion_pytorch_model.safetensors"), join(folder, unet));
  const latents = { dtype: "float32", shape: [1, 2, 4, 16, 16], data: new Float32Array(2048).fill(0.5) } as const;
  await writeFile(join(folder, noise), encodeSafetensors({ latents }));
  await mkdir(join(folder, "file:"));
  const outputs = ["s3:Clip 1%20#?.gif", "file:/a:b%.png"];
  const { code, stdout, stderr } = await stillmotion(
    [
      ...["generate", photo, ...small, "--model", model, "--unet", unet, "--latents", noise, "--json"],
      ...outputs.flatMap((output) => ["-o", output]),
    ],
    { cwd: folder },
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const events = jsonLines(stdout);
  expect(events[0]).toMatchObject({
    event: "note",
    message: expect.stringMatching(/^cam-2024-05-01T12:30:11\.png is 150/),
  });
  expect(events.at(-1)).toMatchObject({
    files: [{ paths: [outputs[0]] }, { paths: ["file:/a:b%-0001.png", "file:/a:b%-0002.png"] }],
  });
  expect((await readdir(folder)).sort()).toEqual([photo, "file:", noise, model, outputs[0], unet].sort());
  const { settings } = await readClipMetadata(join(folder, outputs[0]!));
  expect(settings).toMatchObject({ model, unet });
});

it.skipIf(isWindows)("names a picture that looks like a URL as it was given, in notes too", async () => {
  const folder = await scratchFolder();
  const name = "https:user@host#1.png?a=1";
  await cp(picture, join(folder, name));
  const { code, stdout } = await stillmotion(["generate", name, "-o", "a.gif", ...small, "--json"], { cwd: folder });
  expect(code).toBe(0);
  expect(jsonLines(stdout)[0]).toMatchObject({ message: expect.stringContaining(`${name} is 150x100, cropped`) });
});

it.each([
  ["Cam-2024-05-01T12:30:12.PNG", "image Cam-2024-05-01T12:30:12.PNG: was not found from "],
  ["s3://Bucket/X%20y.png", "image s3://Bucket/X%20y.png: has the scheme s3:, expected http, https, file or data"],
  ["x.png\u001b[2J", "image x.png\\u{1b}[2J: was not found from "],
  [`${picture} --model ./A:B%20`, "./A:B%20: there is no such path here"],
  [`${picture} --lora A:B.safetensors`, "--lora: A:B.safetensors: "],
  [`${picture} --unet A:B%20.safetensors`, "--unet: A:B%20.safetensors: "],
  [`${picture} --latents A:B%20.safetensors`, "--latents: A:B%20.safetensors: "],
  [`${picture} -o A:B%20.MOV`, "A:B%20.MOV: got the extension .MOV, expected one of"],
])("names %j as it was given", async (words, message) => {
  const output = join(await scratchFolder(), "clip.mp4");
  const { code, stderr } = await stillmotionHere(["generate", "-o", output, ...small, ...words.split(" ")]);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(`error: ${message}`) });
});
