/** How does a pipeline open in Node? This puts together what Node gives: files, the hub's cache, a device and its engine, scratches. */
import { inCall, message, option, workFor } from "../errors.ts";
import { chooseUnetLowering } from "../options/choose-lowering.ts";
import { checkLoadOptions, type FromPretrainedOptions } from "../options/load-options.ts";
import { copyLoras, lorasGiven, readLoras } from "../options/loras.ts";
import { StableVideoDiffusionPipeline as Pipeline } from "../pipeline/stable-video-diffusion.ts";
import { withLoras } from "../weights/lora/place-lora.ts";
import type { Checkpoint } from "../weights/types.ts";
import { chooseDevice, type DeviceTable, devices } from "./devices/device-table.ts";
import { disk } from "./files/disk.ts";
import { resolveModel } from "./hub/resolve-model.ts";
import { openScratchSpace } from "./scratch.ts";
import { openCheckpoint, openUnetFile } from "./weights.ts";

export class StableVideoDiffusionPipeline extends Pipeline {
  /**
   * Opens a checkpoint and starts an engine. Configurations and the shape of every tensor are
   * checked; the weights stay in their files until a network needs them. The options, LoRAs' bytes included, are read
   * before the call returns its promise.
   *
   * @param name a folder, a single `.safetensors` file, or a model of the Hugging Face hub, downloaded when first used: `svd`, `svd-xt`, `svd-xt-1.1`
   *   or `org/name`, each with `@revision` if wanted
   * @throws StillmotionError `invalid-option`, `invalid-checkpoint` when the folder or one of its files is not what it should be,
   *   `unsupported` for a dtype or device this version does not have, `engine` when ONNX Runtime cannot be loaded
   */
  static fromPretrained(name: string, options: FromPretrainedOptions = {}): Promise<StableVideoDiffusionPipeline> {
    return openPipeline(name, options, devices);
  }
}

/** @param table the devices that there are */
export async function openPipeline(
  name: string,
  options: FromPretrainedOptions,
  table: DeviceTable,
): Promise<StableVideoDiffusionPipeline> {
  // What can be wrong here comes before what may have to be downloaded.
  const given = { ...checkLoadOptions("fromPretrained", options) };
  const { variant, hub, unet } = given;
  const device = chooseDevice(given.device, table);
  chooseUnetLowering(device.lowerings, given);
  const loraSources = copyLoras(given.loras);
  const hubOptions = { ...hub };
  const unetGiven = message`${inCall("fromPretrained")}${option("unet")}`;
  const otherUnet = unet === undefined ? undefined : await workFor(unetGiven, () => openUnetFile(unet));
  const loras = loraSources === undefined ? [] : await readLoras(loraSources, disk);
  const scratch = openScratchSpace(given.scratchFolder);
  const opened = { name: device.name, ...(await device.open(given)) };
  try {
    const folder = await resolveModel(name, { ...hubOptions, variant, withoutWeights: otherUnet ? ["unet"] : [] });
    const checkpoint = await openCheckpoint(folder, { variant, unet: otherUnet });
    return new StableVideoDiffusionPipeline(await addLoras(checkpoint, loras), { device: opened, scratch }, given);
  } catch (error) {
    await opened.engine.dispose();
    throw error;
  }
}

async function addLoras(checkpoint: Checkpoint, loras: Awaited<ReturnType<typeof readLoras>>): Promise<Checkpoint> {
  if (loras.length === 0) return checkpoint;
  const unet = await workFor(lorasGiven, () => withLoras(checkpoint.unet, loras));
  const parts = [checkpoint, ...loras.map(({ lora }) => lora)];
  return { ...checkpoint, assumptions: parts.flatMap((each) => each.assumptions ?? []), unet };
}
