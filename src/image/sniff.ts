/** What kind of file is this? Told from its first bytes; names and content types are not trusted. */

/** The formats that `loadImage` reads. */
export type ImageFormat = "jpeg" | "png" | "webp" | "avif" | "gif";

/** An image format, or words for what the bytes look like instead. */
export type Sniffed = { readonly format: ImageFormat } | { readonly looksLike: string };

/** Tells the format of a file from its first bytes. */
export function sniff(bytes: Uint8Array): Sniffed {
  const head = latin1(bytes.subarray(0, 512));
  if (head.startsWith("\xff\xd8\xff")) return { format: "jpeg" };
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return { format: "png" };
  if (head.startsWith("RIFF") && head.slice(8, 12) === "WEBP") return { format: "webp" };
  if (head.startsWith("GIF87a") || head.startsWith("GIF89a")) return { format: "gif" };
  if (head.slice(4, 8) === "ftyp") return sniffBrands(bytes);
  return { looksLike: otherKind(head) };
}

/** AVIF, HEIC, MP4 and QuickTime share one container; its brands tell them apart. */
function sniffBrands(bytes: Uint8Array): Sniffed {
  const boxLength = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0);
  const brands = latin1(bytes.subarray(8, Math.min(boxLength, 512)));
  if (brands.includes("avif") || brands.startsWith("avis")) return { format: "avif" };
  if (/^(heic|heix|hevc|heim|heis|mif1|msf1)/.test(brands)) return { looksLike: "a HEIC photo" };
  return { looksLike: brands.startsWith("qt  ") ? "a QuickTime video" : "an MP4 video" };
}

/** Offset, bytes found there, what it is. */
const binaryKinds: readonly (readonly [number, string, string])[] = [
  [0, "II*\0", "a TIFF image or a camera's raw file"],
  [0, "MM\0*", "a TIFF image or a camera's raw file"],
  [0, "BM", "a BMP image"],
  [0, "\0\0\x01\0", "an ICO icon"],
  [0, "\xff\x0a", "a JPEG XL image"],
  [4, "JXL ", "a JPEG XL image"],
  [4, "jP  ", "a JPEG 2000 image"],
  [0, "8BPS", "a Photoshop document"],
  [0, "\x1aE\xdf\xa3", "a WebM or Matroska video"],
  [8, "AVI ", "an AVI video"],
  [0, "PK\x03\x04", "a ZIP archive or an office document"],
  [0, "\x1f\x8b", "a gzip archive"],
];

const textKinds: readonly (readonly [RegExp, string])[] = [
  [/^version https:\/\/git-lfs/, "a Git LFS pointer, not the file it stands for (run `git lfs pull`)"],
  [/^\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!doctype svg[^>]*>\s*)?<svg[\s>]/is, "an SVG drawing"],
  [/^\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body)/is, "a web page (HTML)"],
  [/^\s*<\?xml/, "an XML file"],
  [/^\s*[[{]\s*["[{]/, "JSON"],
];

function otherKind(head: string): string {
  if (head.startsWith("%PDF-")) return "a PDF document";
  if (!isText(head)) {
    return binaryKinds.find(([at, magic]) => head.startsWith(magic, at))?.[2] ?? "no known kind of file";
  }
  const text = head.replace(/^\xef\xbb\xbf/, "");
  return textKinds.find(([pattern]) => pattern.test(text))?.[1] ?? "plain text";
}

/** True without control characters other than tab, line ends, form feed and escape. */
function isText(head: string): boolean {
  return ![...head].some((character) => {
    const code = character.charCodeAt(0);
    return code < 32 && ![9, 10, 12, 13, 27].includes(code);
  });
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
