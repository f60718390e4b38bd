/** How does sharp decode a picture file? 8 bits each value, in the file's own colours and as it lies there. */
import type { Sharp } from "sharp";
import { StillmotionError } from "../../errors.ts";
import { type StoredPixels, withoutAlpha } from "../../image/stored-pixels.ts";

/** @param space libvips' word for what the file holds */
export async function decodePixels(opened: Sharp, space: string | undefined): Promise<StoredPixels> {
  if (space === "cmyk") {
    const { data, info } = await raw(opened.pipelineColourspace("cmyk").toColourspace("cmyk"));
    return { width: info.width, height: info.height, model: "cmyk", data, alpha: undefined };
  }
  const { data, info } = await raw(opened.toColourspace("srgb"));
  const { width, height, channels } = info;
  const model = space === "b-w" || space === "grey16" ? "grey" : "rgb";
  if (channels === 3) return { width, height, model, data, alpha: undefined };
  if (channels === 4) return { width, height, model, ...withoutAlpha(data) };
  throw new StillmotionError("internal", `image: decoded to ${channels} channels, not 3 or 4`);
}

async function raw(picture: Sharp) {
  const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true });
  return { data: new Uint8Array(data.buffer, data.byteOffset, data.length), info };
}
