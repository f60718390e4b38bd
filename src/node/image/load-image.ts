/** How does a program load a picture? One call, with the pixels of the reference unless it asks for others. */
import { message, option, StillmotionError } from "../../errors.ts";
import type { Image } from "../../image/image.ts";
import { type LoadImageOptions, openPicture } from "./open-picture.ts";
import type { ImageSource } from "./read-source.ts";

/**
 * Loads a still picture: JPEG, PNG, WebP, AVIF, or the first frame of a GIF. An animation of one frame is a still.
 *
 * The pixels are those of diffusers' `load_image`. They are turned upright by the EXIF orientation; alpha is dropped, not blended,
 * unless a `background` is given; grey and CMYK are brought to RGB with Pillow's formulas; values are as stored unless `colorProfile`
 * is `srgb`. There are two differences: 16-bit grey keeps its upper 8 bits, where Pillow clips at 255, and AVIF with halved colour
 * resolution may differ at sharp colour edges, where decoders are free.
 *
 * @param source a path, an http(s), file or data URL, the file's bytes (copied before the call returns its promise), or a Blob
 * @throws StillmotionError `invalid-image` when there is no such file, when it is no picture, damaged, animated (other than GIF) or
 *   beyond the limits, or when its colour profile is asked for and cannot be used; `invalid-option`; `aborted` when the signal fires
 * @example
 * const image = await loadImage("rocket.png");
 * const asSeen = await loadImage("phone.jpg", { colorProfile: "srgb", background: "white" });
 * @source diffusers 0.42.1 utils/loading_utils.py `load_image`
 */
export async function loadImage(source: ImageSource, options: LoadImageOptions = {}): Promise<Image> {
  const { image, name, colors } = await openPicture(source, options);
  if (colors?.problem !== undefined) {
    throw new StillmotionError(
      "invalid-image",
      message`image ${name}: has ${colors.name}, which cannot be used: ${colors.problem}; convert it in an image editor, or set ${option("colorProfile")} to "ignore"`,
    );
  }
  return image;
}
