/** Where does ONNX Runtime's shared library lie? */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { StillmotionError } from "../../errors.ts";
import { resolveInstalled } from "../../node/installed-package.ts";

const fileNames: Partial<Record<NodeJS.Platform, string>> = {
  linux: "libonnxruntime.so.1",
  darwin: "libonnxruntime.1.dylib",
  win32: "onnxruntime.dll",
};

/**
 * The library that the onnxruntime-node package brings for this platform.
 *
 * @throws StillmotionError `engine` when the package or its library is not there
 */
export function findOrtLibrary(): string {
  const platform = `${process.platform}-${process.arch}`;
  const fileName = fileNames[process.platform];
  let packageFolder: string;
  try {
    packageFolder = dirname(resolveInstalled("onnxruntime-node/package.json"));
  } catch (error) {
    if (error instanceof StillmotionError) throw error;
    throw new StillmotionError("engine", "the package onnxruntime-node is not installed; run `npm install` again", {
      cause: error,
    });
  }
  const path = join(packageFolder, "bin", "napi-v6", process.platform, process.arch, fileName ?? "");
  if (fileName === undefined || !existsSync(path)) {
    throw new StillmotionError(
      "engine",
      `onnxruntime-node brings no ONNX Runtime library for ${platform} (expected ${path}); ` +
        "give the path of your own build's libonnxruntime",
    );
  }
  return path;
}
