/** What is in a clip, or in a file of tensors? */
import { bytesText } from "../../byte-sizes.ts";
import { disk } from "../../node/files/disk.ts";
import { type ClipMetadata, readClipMetadata } from "../../node/video/read-metadata.ts";
import type { SafetensorsEntry } from "../../weights/safetensors/safetensors-header.ts";
import { type FileKind, kindInWords } from "../../weights/single-file/file-kind.ts";
import { readWeightsFile, type WeightsFile } from "../../weights/single-file/open-file.ts";
import { textWithFlags } from "../errors.ts";
import { countText } from "../units.ts";
import type { Inspection } from "./inspection.ts";
import { inspectLora } from "./lora.ts";

/** How many tensors are listed to people. */
const shownTensors = 40;

export async function inspectClip(path: string): Promise<Inspection> {
  const clip = await readClipMetadata(path);
  return { lines: clipLines(path, clip), json: { kind: "clip", ...clip } };
}

/** What a .safetensors file is: a checkpoint, a part of one, something for another model, a clip, or just tensors. */
export async function inspectSafetensors(path: string, options: { variant?: string }): Promise<Inspection> {
  return { ...(await inspectKind(await readWeightsFile(disk, path), options)), weightsFiles: [path] };
}

async function inspectKind(file: WeightsFile, options: { variant?: string }): Promise<Inspection> {
  const { path, kind } = file;
  const lora = await inspectLora(path);
  if (lora) return lora;
  switch (kind) {
    case "checkpoint":
      return (await import("./checkpoint.ts")).inspectCheckpoint(path, options);
    case "unet":
      return (await import("./checkpoint.ts")).inspectUnet(file);
    default:
      return inspectTensors(file);
  }
}

/** Kinds of file that stillmotion cannot use. */
const foreign: readonly FileKind[] = ["motion module", "other checkpoint", "other unet", "averages", "prefixed unet"];

/** A file of tensors, and the clip in it if it is one. */
async function inspectTensors({ path, kind, header }: WeightsFile): Promise<Inspection> {
  const { entries, metadata } = header;
  const tensors = [...entries.values()];
  const shape = entries.get("frames")?.shape;
  const whatItIs = kind === "unknown" ? "safetensors" : textWithFlags(kindInWords(kind, entries.keys()));
  const clip = shape?.length === 4 && shape[3] === 3 ? await readClipMetadata(path) : undefined;
  return {
    lines: [...(clip ? clipLines(path, clip) : [`${path}: ${whatItIs}`]), ...tensorLines(tensors)],
    json: {
      kind: clip ? "clip" : kind === "unknown" ? "tensors" : kind,
      ...clip,
      tensors: tensors.map(({ name, dtype, shape, sizeBytes }) => ({ name, dtype, shape, sizeBytes })),
      metadata,
    },
    ...(foreign.includes(kind) && { problems: [`${path}: is ${whatItIs}`] }),
  };
}

function clipLines(path: string, { format, width, height, frames, fps, settings }: ClipMetadata): string[] {
  const duration = fps === undefined ? "" : `, ${fps} frames a second, ${(frames / fps).toFixed(2)} s`;
  const head = `${path}: ${format}, ${width}x${height}, ${countText(frames, "frame")}${duration}`;
  if (!settings) return [head, "no settings in it: it was not made by stillmotion, or was written again since"];
  const columns = Math.max(...Object.keys(settings).map((name) => name.length));
  const values = Object.entries(settings).map(([name, value]) => `  ${name.padEnd(columns)}  ${valueText(value)}`);
  return [head, "settings:", ...values];
}

function tensorLines(tensors: readonly SafetensorsEntry[]): string[] {
  const total = tensors.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const shown = tensors
    .slice(0, shownTensors)
    .map(({ name, dtype, shape }) => `  ${name}  ${dtype} [${shape.join(", ")}]`);
  const rest = tensors.length - shown.length;
  return [
    `${countText(tensors.length, "tensor")}, ${bytesText(total)}:`,
    ...shown,
    ...(rest > 0 ? [`  and ${rest} more; --json lists all`] : []),
  ];
}

function valueText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
