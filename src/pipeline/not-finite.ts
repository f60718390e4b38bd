/** What becomes of a run whose numbers are no longer finite? It ends, and says where they appeared and what may be the cause. */
import type { DeviceTensor, RunOptions, RunResults, Session } from "../engine/engine.ts";
import { inCall, type Message, message, messageText, option, StillmotionError } from "../errors.ts";
import { areFinite } from "../finite.ts";
import type { Settings } from "../options/resolve-settings.ts";
import type { FloatTensor, Tensor } from "../tensor.ts";
import type { Checkpoint } from "../weights/types.ts";
import type { Stage } from "./progress.ts";

/** What may be the cause in a run. */
export interface Suspects {
  readonly checkpoint: Pick<Checkpoint, "folder" | "unet">;
  readonly settings: Pick<Settings, "maxGuidanceScale" | "noiseAugStrength">;
  /** Whether the caller has given latents, or exchanged some since. */
  hasGivenLatents: boolean;
}

/** A session whose outputs are looked at. */
export interface StageSession {
  /** @param options.part what the run works on, for the error: "picture 2 of 3" */
  run<Kept extends string = never>(
    inputs: Readonly<Record<string, Tensor | DeviceTensor>>,
    options: RunOptions<Kept> & { readonly part: string },
  ): Promise<RunResults<NoInfer<Kept>>>;
}

/**
 * Outputs are looked at as they are handed over. What a run writes to a workspace is as large as a clip's maps: it is looked at only
 * where nothing is handed over beside it. Else that holds the statistics of a map, which are not finite where the map is not.
 *
 * What stays on the device is not looked at, which would bring it here: DeepCache's feature is what the sample beside it is made of, and
 * where bytes would hide its NaN, the numbers that the int8 lowering hands over with the sample show it.
 */
export function lookingAtOutputs(
  stage: Stage,
  session: Pick<Session, "run">,
  suspects: Suspects | undefined,
): StageSession {
  return {
    async run(inputs, { part, ...options }) {
      const results = await session.run(inputs, options);
      const made: Readonly<Record<string, Tensor | DeviceTensor>> = results;
      const names = Object.keys(made).filter((name) => "data" in made[name]!);
      const handedOver = names.filter((name) => options.outputs?.[name] === undefined);
      for (const name of handedOver.length > 0 ? handedOver : names) {
        const tensor = made[name] as FloatTensor;
        if (!areFinite(tensor.data)) {
          throw notFinite(`${stage}, ${part}: ${name} holds ${countText(tensor)}`, stage, suspects);
        }
      }
      return results;
    },
  };
}

/** The latents after a step: finite outputs of the UNet may have led to what is not. */
export function assertLatentsFinite(part: string, latents: FloatTensor, suspects: Suspects | undefined): void {
  if (areFinite(latents.data)) return;
  throw notFinite(`unet, ${part}: the latents hold ${countText(latents)}`, "unet", suspects);
}

/** Throws `invalid-option` when what the caller gave in place of latents is not finite. */
export function assertGivenFinite(what: Message, { data, shape }: FloatTensor): void {
  if (areFinite(data)) return;
  const index = data.findIndex((value) => !Number.isFinite(value));
  const place = shape.map((size, axis) => {
    const stride = shape.slice(axis + 1).reduce((product, each) => product * each, 1);
    return Math.floor(index / stride) % size;
  });
  const problem = `with ${countText({ data })}, first ${data[index]} at [${place.join(", ")}], expected finite ones`;
  throw new StillmotionError("invalid-option", message`${what} ${problem}`);
}

/** What an engine says of a weight, with what to do; any other error as it is. */
export function explained(error: unknown, stage: Stage, suspects: Suspects | undefined): unknown {
  if (!(error instanceof StillmotionError) || error.code !== "not-finite") return error;
  return notFinite(messageText(error.said), stage, suspects);
}

function notFinite(where: string, stage: Stage, suspects: Suspects | undefined): StillmotionError {
  const causes = suspects ? causesOf(stage, suspects) : [];
  const listed = causes.flatMap((cause, index) => [
    index === 0 ? "; the cause is probably " : ", or ",
    ...parts(cause),
  ]);
  return new StillmotionError("not-finite", message`${inCall("generate")}${where}${listed}`);
}

const parts = (said: Message) => (typeof said === "string" ? [said] : said);

/** Far above what any checkpoint was made for. */
const highGuidance = 20;
const highNoise = 10;

/** The likeliest first. */
function causesOf(stage: Stage, { checkpoint, settings, hasGivenLatents }: Suspects): Message[] {
  const { folder, unet } = checkpoint;
  const readsUnet = stage === "unet" || stage === "conditioning";
  const causes: Message[] = [];
  for (const { name, strength } of (readsUnet && unet.loras) || []) {
    if (strength !== 0) causes.push(`the LoRA ${name} at strength ${strength}: try a lower one`);
  }
  if (stage === "unet" && settings.maxGuidanceScale > highGuidance) {
    causes.push(message`${option("maxGuidanceScale")} ${settings.maxGuidanceScale}, which is very high`);
  }
  if (stage === "vae encoder" && settings.noiseAugStrength > highNoise) {
    causes.push(message`${option("noiseAugStrength")} ${settings.noiseAugStrength}, which is very high`);
  }
  if ((stage === "unet" || stage === "vae decoder") && hasGivenLatents) {
    causes.push(message`the ${option("latents")} that were given, if their numbers are very large`);
  }
  const path = readsUnet && unet.configFrom !== undefined ? fileOf(unet) : folder;
  causes.push(
    `a weight that is NaN, infinite or far too large, as when numbers were too large for fp16: look with \`stillmotion inspect ${path} --weights\``,
  );
  return causes;
}

/** The file that really holds a UNet of its own. */
function fileOf({ weightsFolder, tensors }: Checkpoint["unet"]): string {
  const [first] = tensors.values();
  return `${weightsFolder}/${first!.file}`;
}

function countText({ data }: Pick<FloatTensor, "data">): string {
  let [nan, infinite] = [0, 0];
  for (const value of data) {
    if (Number.isNaN(value)) nan++;
    else if (!Number.isFinite(value)) infinite++;
  }
  const kinds = [nan > 0 && `${nan} NaN`, infinite > 0 && `${infinite} infinite`].filter((kind) => kind !== false);
  return `${kinds.join(" and ")} among ${data.length} numbers`;
}
