/** Does a checkpoint open whose classes are called otherwise but whose networks are those, and does it say so? */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { StillmotionError } from "../../../src/errors.ts";
import { clipVisionConfig } from "../../../src/models/clip-vision.ts";
import { unetConfig } from "../../../src/models/unet.ts";
import { vaeConfig } from "../../../src/models/vae.ts";
import { openCheckpoint } from "../../../src/node/weights.ts";
import type { Checkpoint } from "../../../src/weights/types.ts";
import { checkpointCopy, editJson, editTensors, original, weightsFiles } from "../checkpoint-copy.ts";
import { contentsOf } from "../contents.ts";

/** All that a run depends on. */
async function whatRuns(checkpoint: Checkpoint): Promise<unknown> {
  const { unet, vae, imageEncoder, schedulerConfig, featureExtractorConfig } = checkpoint;
  return {
    contents: await contentsOf(checkpoint),
    configs: [unetConfig(unet.config), vaeConfig(vae.config), clipVisionConfig(imageEncoder.config)],
    schedulerConfig,
    pixels: [featureExtractorConfig.image_mean, featureExtractorConfig.image_std],
  };
}

const expected = await whatRuns(await openCheckpoint(original));

/** The folder's path is taken off. */
async function assumptionsOf(folder: string): Promise<string[]> {
  const checkpoint = await openCheckpoint(folder);
  expect(await whatRuns(checkpoint)).toEqual(expected);
  return checkpoint.assumptions!.map((line) => line.replace(`${folder}/`, ""));
}

const messageOf = (folder: string) =>
  openCheckpoint(folder).then(
    () => "no error",
    (error: StillmotionError) => error.message.replace(`${folder}/`, ""),
  );

const index = (folder: string, edit: (json: Record<string, unknown>) => void) =>
  editJson(join(folder, "model_index.json"), edit);

it("a checkpoint of the published classes has nothing to say", async () => {
  expect(await assumptionsOf(await checkpointCopy())).toEqual([]);
});

it("classes may be named without their library, and a configuration may name none", async () => {
  const folder = await checkpointCopy();
  await index(folder, (json) => {
    for (const [part, entry] of Object.entries(json)) if (Array.isArray(entry)) json[part] = entry.at(-1);
  });
  await editJson(join(folder, "unet/config.json"), (json) => {
    json._class_name = null;
  });
  expect(await assumptionsOf(folder)).toEqual([]);
  await index(folder, (json) => Object.assign(json, { _class_name: "MyPipeline", variant: "fp16" }));
  expect(await assumptionsOf(folder)).toEqual([
    expect.stringMatching(/^model_index.json: is of class MyPipeline;.* as one$/),
  ]);
  await index(folder, (json) => {
    json.unet = "UNet2DConditionModel";
  });
  expect(await messageOf(folder)).toContain("is of class MyPipeline; expected a StableVideoDiffusionPipeline");
});

describe("another pipeline's checkpoint is run as this one's", () => {
  it.each([
    ["MaskStableVideoDiffusionPipeline", {}, ""],
    ["SVDInpaintPipeline", { tokenizer: [null, null], safety_checker: null }, ""],
    [
      "StableVideoDiffusionPipelineWithControl",
      { controlnet: ["models.controlnet", "ControlNetSDVModel"] },
      ", without its controlnet",
    ],
    [
      ["pipeline", "TextSVDPipeline"],
      { text_encoder: ["transformers", "CLIPTextModel"] },
      ", without its text_encoder",
    ],
  ])("%s", async (pipeline, parts, rest) => {
    const folder = await checkpointCopy();
    await index(folder, (json) => Object.assign(json, parts, { _class_name: pipeline }));
    expect(await assumptionsOf(folder)).toEqual([
      `model_index.json: is of class ${[pipeline].flat().at(-1)}; its networks are those of a ` +
        `StableVideoDiffusionPipeline and are run as one${rest}`,
    ]);
  });

  it("but not that of another model, whose networks are others", async () => {
    const folder = await checkpointCopy();
    await index(folder, (json) =>
      Object.assign(json, {
        _class_name: "TextToVideoSDPipeline",
        unet: ["diffusers", "UNet3DConditionModel"],
        text_encoder: ["transformers", "CLIPTextModel"],
      }),
    );
    expect(await messageOf(folder)).toBe(
      "model_index.json: is of class TextToVideoSDPipeline, which makes pictures or clips from text; " +
        "expected a StableVideoDiffusionPipeline, such as stabilityai/stable-video-diffusion-img2vid-xt",
    );
  });
});

describe("a network of another class is taken when its tensors are those", () => {
  it.each([
    ["unet", "UNetSpatioTemporalConditionControlNetModel", "UNetSpatioTemporalConditionModel"],
    ["unet", "MyUNet", "UNetSpatioTemporalConditionModel"],
    ["vae", "TiledTemporalVae", "AutoencoderKLTemporalDecoder"],
    ["image_encoder", "CLIPVisionModelWithAdapter", "CLIPVisionModelWithProjection"],
  ] as const)("%s %s", async (component, className, own) => {
    const folder = await checkpointCopy();
    await index(folder, (json) => {
      json[component] = ["my_module", className];
    });
    const line = `its tensors are read as those of a ${own}`;
    expect(await assumptionsOf(folder)).toEqual([`model_index.json: names ${className} for ${component}; ${line}`]);
    await editJson(join(folder, component, "config.json"), (json) => {
      if (component === "image_encoder") json.architectures = [className];
      else json._class_name = className;
    });
    expect(await assumptionsOf(folder)).toEqual([`${component}/config.json: is of class ${className}; ${line}`]);
  });

  it("but not when they are those of another network", async () => {
    const folder = await checkpointCopy();
    await editJson(join(folder, "unet/config.json"), (json) => {
      json._class_name = "MyUNet";
    });
    await editTensors(join(folder, weightsFiles.unet), (tensors) =>
      Object.fromEntries(Object.entries(tensors).filter(([name]) => !name.includes("temporal_res_block"))),
    );
    expect(await messageOf(folder)).toBe(
      "unet/config.json: is of class MyUNet, expected UNetSpatioTemporalConditionModel",
    );
  });
});

describe("a whole CLIP as the image encoder", () => {
  const vector = { dtype: "float32", shape: [1], data: new Float32Array(1) } as const;

  async function wholeClip(configKey: "vision_config" | "vision_config_dict"): Promise<string> {
    const folder = await checkpointCopy();
    await editJson(join(folder, "image_encoder/config.json"), (json) => {
      const { projection_dim, architectures, ...vision } = json;
      for (const name of Object.keys(json)) delete json[name];
      const others = configKey === "vision_config" ? {} : { vision_config: { hidden_size: 1 } };
      // transformers writes the default of the half, which does not count.
      Object.assign(json, { architectures: ["CLIPModel"], projection_dim, text_config: { hidden_size: 8 }, ...others });
      json[configKey] = { ...vision, projection_dim: 512 };
    });
    await editTensors(join(folder, weightsFiles.image_encoder), (tensors) => ({
      ...tensors,
      logit_scale: { ...vector, shape: [] },
      "text_projection.weight": vector,
      "text_model.final_layer_norm.weight": vector,
      "text_model.embeddings.position_ids": { dtype: "int64", shape: [1], data: new BigInt64Array(1) },
    }));
    return folder;
  }

  it.each(["vision_config", "vision_config_dict"] as const)("is read by its %s, without its text half", async (key) => {
    expect(await assumptionsOf(await wholeClip(key))).toEqual([
      "image_encoder/config.json: is of class CLIPModel; its tensors are read as those of a CLIPVisionModelWithProjection",
      "image_encoder: holds a whole CLIP; its text half is left alone",
    ]);
  });

  it("may lie beside the configuration of its vision half", async () => {
    const folder = await wholeClip("vision_config");
    await writeFile(
      join(folder, "image_encoder/config.json"),
      await readFile(join(original, "image_encoder/config.json")),
    );
    expect(await assumptionsOf(folder)).toEqual(["image_encoder: holds a whole CLIP; its text half is left alone"]);
  });

  it("is refused without its projection", async () => {
    const folder = await checkpointCopy();
    await editJson(join(folder, "image_encoder/config.json"), (json) => {
      json.architectures = ["CLIPVisionModel"];
    });
    await editTensors(join(folder, weightsFiles.image_encoder), ({ "visual_projection.weight": _, ...rest }) => rest);
    expect(await messageOf(folder)).toBe(
      "image_encoder/config.json: is of class CLIPVisionModel, and its weights hold no visual_projection, " +
        "expected CLIPVisionModelWithProjection",
    );
  });
});

describe("a feature extractor of another class", () => {
  it.each(["ViTImageProcessor", "CLIPProcessor", "AutoImageProcessor"])(
    "gives its mean and deviation: %s",
    async (name) => {
      const folder = await checkpointCopy();
      await index(folder, (json) => {
        json.feature_extractor = ["transformers", name];
      });
      expect(await assumptionsOf(folder)).toEqual([
        `feature_extractor/preprocessor_config.json: is of class ${name}; ` +
          "a CLIPImageProcessor is taken instead, with its image_mean and image_std",
      ]);
    },
  );

  it("may be a whole processor, in the one file that transformers writes of it", async () => {
    const folder = await checkpointCopy();
    const path = join(folder, "feature_extractor/preprocessor_config.json");
    const image_processor = JSON.parse(await readFile(path, "utf8"));
    await rm(path);
    await writeFile(
      join(folder, "feature_extractor/processor_config.json"),
      JSON.stringify({ image_processor, processor_class: "CLIPProcessor" }),
    );
    expect(await assumptionsOf(folder)).toEqual([]);
  });
});
