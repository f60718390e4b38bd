/** What does an opened checkpoint hold, whatever its files are called and wherever in them its tensors lie? */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Checkpoint, Component } from "../../src/weights/types.ts";

/** Shape, format and a checksum of the bytes of each tensor, by its name. */
export async function contentsOf({ unet, vae, imageEncoder }: Checkpoint): Promise<Record<string, string>> {
  return {
    ...(await componentContents(unet)),
    ...(await componentContents(vae)),
    ...(await componentContents(imageEncoder)),
  };
}

export async function componentContents({
  name: part,
  tensors,
  weightsFolder,
}: Component): Promise<Record<string, string>> {
  const files = new Map<string, Buffer>();
  const contents: Record<string, string> = {};
  for (const [key, { name, file, offset, sizeBytes, shape, dtype, isTransposed = false }] of tensors) {
    if (name !== key) throw new Error(`${key} is called ${name}`);
    if (!files.has(file)) files.set(file, await readFile(join(weightsFolder, file)));
    const bytes = files.get(file)!.subarray(offset, offset + sizeBytes);
    const checksum = createHash("sha1").update(bytes).digest("hex");
    contents[`${part}: ${name}`] = `${dtype} [${shape}] ${isTransposed ? "by columns " : ""}${checksum}`;
  }
  return Object.fromEntries(Object.entries(contents).sort());
}
