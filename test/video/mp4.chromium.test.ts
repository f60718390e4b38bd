import { spawn } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Image } from "../../src/image/image.ts";
import { encodeGif } from "../../src/node/video/gif.ts";
import { encodeMp4 } from "../../src/node/video/mp4.ts";
import { encodeWebp } from "../../src/node/video/webp.ts";
import { hasProgram, temporaryFolder } from "./test-clip.ts";

const patchSize = 32;
const colours: readonly (readonly [number, number, number])[] = [
  [224, 172, 140],
  [128, 128, 128],
  [255, 255, 255],
  [0, 0, 0],
  [90, 130, 70],
  [160, 60, 50],
  [60, 80, 150],
];

/** A row of patches, the same in each frame. */
function patchClip(): Image[] {
  const width = patchSize * colours.length;
  const data = new Uint8Array(width * patchSize * 3);
  for (let pixel = 0; pixel < width * patchSize; pixel += 1) {
    data.set(colours[Math.floor((pixel % width) / patchSize)]!, pixel * 3);
  }
  return Array.from({ length: 7 }, () => ({ width, height: patchSize, data }));
}

// Shows the clip in its element, draws one frame on a canvas, and sends size, duration and each patch's middle.
const page = (source: string, isVideo: boolean) => `<!doctype html><script>
  const send = (answer) => fetch("/answer", { method: "POST", body: JSON.stringify(answer) });
  const show = (element, width, height, duration) => {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d");
    context.drawImage(element, 0, 0);
    const middle = (index) => [...context.getImageData((index + 0.5) * ${patchSize}, ${patchSize / 2}, 1, 1).data].slice(0, 3);
    send({ width, height, duration, patches: Array.from({ length: ${colours.length} }, (_, index) => middle(index)) });
  };
  const element = document.createElement("${isVideo ? "video" : "img"}");
  element.onerror = () => send({ error: element.error?.message ?? "not shown" });
  element.src = "${source}";
  if (${isVideo}) {
    element.muted = true;
    element.requestVideoFrameCallback(() => show(element, element.videoWidth, element.videoHeight, element.duration));
    element.play();
  } else element.onload = () => show(element, element.naturalWidth, element.naturalHeight);
</script>`;

interface Answer {
  error?: string;
  width: number;
  height: number;
  duration?: number;
  patches: number[][];
}

async function shownInChromium(bytes: Uint8Array, type: string): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const server = createServer(async (request, response) => {
    if (request.url === "/clip") return response.setHeader("content-type", type).end(bytes);
    if (request.url !== "/answer")
      return response.setHeader("content-type", "text/html").end(page("/clip", type === "video/mp4"));
    resolve(JSON.parse(Buffer.concat(await request.toArray()).toString()));
    response.end();
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const profile = await temporaryFolder();
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"];
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const browser = spawn("chromium", [...flags, `--user-data-dir=${profile}`, "--remote-debugging-port=0", address], {
    stdio: "ignore",
  });
  const closed = new Promise((done) => browser.once("close", done));
  onTestFinished(async () => {
    browser.kill("SIGTERM");
    await closed;
    server.closeAllConnections();
    server.close();
  });
  return promise;
}

describe.skipIf(!hasProgram("chromium", "--version"))("a clip in Chromium", () => {
  it.each([
    ["video/mp4", encodeMp4, 3],
    ["image/webp", encodeWebp, 3],
    ["image/gif", encodeGif, 3],
  ] as const)("as %s has the source's size and colours", { timeout: 60_000 }, async (type, encode, tolerance) => {
    const answer = await shownInChromium(await encode(patchClip(), { fps: 7 }), type);
    expect(answer.error).toBeUndefined();
    expect([answer.width, answer.height]).toEqual([patchSize * colours.length, patchSize]);
    if (type === "video/mp4") expect(answer.duration).toBeCloseTo(1, 3);
    for (const [index, colour] of colours.entries()) {
      const mean =
        colour.reduce((sum, value, channel) => sum + Math.abs(value - answer.patches[index]![channel]!), 0) / 3;
      expect(mean, `${colour} is shown as ${answer.patches[index]}`).toBeLessThanOrEqual(tolerance);
    }
  });
});
