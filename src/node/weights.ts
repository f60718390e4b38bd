/** How are weights read from this machine's disk? By the readers that all platforms share. */
import { type OpenCheckpointOptions, openCheckpoint as openCheckpointFrom } from "../weights/checkpoint/checkpoint.ts";
import {
  readSafetensors as readSafetensorsFrom,
  readSafetensorsHeader as readSafetensorsHeaderFrom,
} from "../weights/safetensors/safetensors-file.ts";
import { openUnetFile as openUnetFileFrom } from "../weights/single-file/unet-file.ts";
import { disk } from "./files/disk.ts";

export const openCheckpoint = (path: string, options?: OpenCheckpointOptions) =>
  openCheckpointFrom(disk, path, options);

export const openUnetFile = (path: string) => openUnetFileFrom(disk, path);

export const readSafetensors = (path: string) => readSafetensorsFrom(disk, path);

export const readSafetensorsHeader = (path: string) => readSafetensorsHeaderFrom(disk, path);
