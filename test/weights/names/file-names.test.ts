import { expect, test } from "vitest";
import { assertPlainFileName } from "../../../src/weights/names/file-names.ts";

test.each([
  "diffusion_pytorch_model-00001-of-00002.fp16.safetensors",
  "model.safetensors",
  "console.safetensors",
  "..model.safetensors",
  "模型.safetensors",
])("%s may be a file in the folder", (name) => {
  expect(() => assertPlainFileName(name, "index.json")).not.toThrow();
});

test.each([
  "",
  ".",
  "..",
  "../model.safetensors",
  "..\\model.safetensors",
  "/etc/passwd",
  "sub/model.safetensors",
  "C:model.safetensors",
  "\\\\server\\share",
  "model.safetensors:stream",
  "model.safetensors ",
  "model.safetensors.",
  "NUL",
  "nul.safetensors",
  "com1.safetensors",
  "LPT¹",
  "aux .safetensors",
  "a\0b",
  "a\nb",
  "a*",
  "x".repeat(256),
])("%j may not", (name) => {
  expect(() => assertPlainFileName(name, "index.json")).toThrow(
    /^index\.json: names the file .*, expected a plain file name/,
  );
});

test("the message cannot drive a terminal", () => {
  expect(() => assertPlainFileName("\u001b[31m/x", "index.json")).toThrow("names the file \\u{1b}[31m/x, expected");
});
