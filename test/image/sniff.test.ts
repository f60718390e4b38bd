import { expect, test } from "vitest";
import { sniff } from "../../src/image/sniff.ts";

function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

test.each([
  ["\xff\xd8\xff\xe0\0\x10JFIF", "jpeg"],
  ["\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", "png"],
  ["RIFF\x10\0\0\0WEBPVP8 ", "webp"],
  ["GIF87a", "gif"],
  ["GIF89a", "gif"],
  ["\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "avif"],
  ["\0\0\0\x1cftypmif1\0\0\0\0avifmif1miaf", "avif"],
])("%j is %s", (head, format) => {
  expect(sniff(bytes(head))).toEqual({ format });
});

test.each([
  ["<!DOCTYPE html><html>", "web page"],
  ["  \n<HTML lang=en>", "web page"],
  ['<?xml version="1.0"?>\n<!-- made by hand -->\n<svg xmlns="x">', "SVG"],
  ["<svg>", "SVG"],
  ["%PDF-1.7\n%\xe2\xe3\0", "PDF"],
  ["II*\0\x08\0\0\0", "TIFF"],
  ["MM\0*\0\0\0\x08", "TIFF"],
  ["BM\x36\0\0\0\0\0\0\0", "BMP"],
  ["\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"],
  ["\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", "MP4"],
  ["\0\0\0\x14ftypqt  \0\0\0\0qt  ", "QuickTime"],
  ["\x1aE\xdf\xa3\x9fB\x86\x81", "WebM"],
  ["RIFF\x10\0\0\0AVI LIST", "AVI video"],
  ["\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"],
  ["PK\x03\x04\x14\0", "ZIP"],
  ["version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"],
  ['{"error": "not found"}', "JSON"],
  ["a photo of a cat", "plain text"],
  ["\0\x01\x02\x03", "no known kind"],
])("%j is not an image but %s", (head, words) => {
  expect(sniff(bytes(head))).toEqual({ looksLike: expect.stringContaining(words) });
});

test("bytes that end inside a signature are no image", () => {
  for (const head of ["\xff", "\x89PN", "GIF", "RIFF", "\0\0\0\x1cftyp", ""])
    expect(sniff(bytes(head))).toHaveProperty("looksLike");
});
