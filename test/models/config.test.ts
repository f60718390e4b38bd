/** Is a configuration that no network has refused, and before it costs anything? */
import { describe, expect, it } from "vitest";
import { clipVisionConfig } from "../../src/models/clip-vision.ts";
import { unetConfig } from "../../src/models/unet.ts";
import { vaeConfig } from "../../src/models/vae.ts";

describe("more layers or levels than anybody has", () => {
  it.each([
    [unetConfig, { layers_per_block: 4e9 }, /^unet\/config.json: layers_per_block is 4000000000: /],
    [unetConfig, { transformer_layers_per_block: [1, 1, 1, 1e9] }, /^unet\/config.json: transformer_layers_per_block/],
    [
      unetConfig,
      { block_out_channels: Array(17).fill(32) },
      /^unet\/config.json: block_out_channels is \[32,.*<=16 items/,
    ],
    [vaeConfig, { layers_per_block: 257 }, /^vae\/config.json: layers_per_block is 257:.*<=256/],
    [clipVisionConfig, { num_hidden_layers: 1e9 }, /^image_encoder\/config.json: num_hidden_layers is 1000000000: /],
  ])("%o %j", (read, config, message) => {
    expect(() => read(config)).toThrow(expect.objectContaining({ code: "invalid-checkpoint" }));
    expect(() => read(config)).toThrow(message);
  });
});
