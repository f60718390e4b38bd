/** Do the runs of a stage's sessions share their memory, and when do they not? */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Engine, Workspace, WorkspaceSize } from "../../src/engine/engine.ts";
import { createOrtEngine } from "../../src/engine/ort/ort-engine.ts";
import { StableVideoDiffusionPipeline } from "../../src/node/stable-video-diffusion.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import type { Offload } from "../../src/options/load-options.ts";
import { picture } from "../support/picture.ts";
import { engineWithMemory, platformOf } from "../support/platform.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createOrtEngine({ threads: 2 });
});
afterAll(() => engine.dispose());

interface Opened {
  readonly size: WorkspaceSize;
  readonly servesRuns: boolean;
  /** Networks in it, in the order of their loading, and its release. */
  readonly events: string[];
}

/** What one clip opens and loads. */
async function workspacesOf(options: {
  offload?: Offload;
  availableBytes?: number;
  decodes?: boolean;
  decodeMode?: "exact" | "reference";
  decodeChunkSize?: number;
}): Promise<Opened[]> {
  const { offload = "model", availableBytes, decodes = false, decodeMode = "exact", decodeChunkSize = 1 } = options;
  const opened = new Map<Workspace, Opened>();
  const watched: Engine = {
    ...engineWithMemory(engine, () => availableBytes ?? engine.memory.host.availableBytes()),
    async openWorkspace(size, options) {
      const workspace = await engine.openWorkspace(size, options);
      const events: string[] = [];
      const release = () => {
        events.push("released");
        return workspace.release();
      };
      const lent = { ...workspace, release };
      opened.set(lent, { size, servesRuns: workspace.servesRuns, events });
      return lent;
    },
    async load(model, options) {
      const session = await engine.load(model, options);
      const events = options?.workspace && opened.get(options.workspace)?.events;
      if (!events) return session;
      events.push(`load ${model.name}`);
      const release = () => {
        events.push(`release ${model.name}`);
        return session.release();
      };
      return { ...session, release };
    },
    dispose: async () => {},
  };
  const checkpoint = await openCheckpoint(join(import.meta.dirname, "..", "checkpoints", "two-levels-fp32"));
  const pipe = new StableVideoDiffusionPipeline(checkpoint, platformOf(watched), { offload });
  const size = {
    width: 48,
    height: 32,
    numFrames: 3,
    numInferenceSteps: 2,
    cacheInterval: 2,
    decodeMode,
    decodeChunkSize,
    seed: 4,
  };
  await pipe.generate(picture, { ...size, outputType: decodes ? "images" : "latents" });
  return [...opened.values()];
}

it("both networks of the UNet run in one workspace, which is there as long as they are", async () => {
  const [ofUnet, ...others] = await workspacesOf({});
  expect(others).toEqual([]);
  expect(ofUnet!.servesRuns).toBe(true);
  expect(ofUnet!.events).toEqual(["load unet", "load unet", "release unet", "release unet", "released"]);
});

it("the decoder's chunks, of two lengths, run in another one", async () => {
  const decoding = { decodes: true, decodeMode: "reference", decodeChunkSize: 2 } as const;
  const [ofUnet, ofDecoder, ...others] = await workspacesOf(decoding);
  expect(others).toEqual([]);
  expect([ofUnet!.servesRuns, ofDecoder!.servesRuns]).toEqual([true, true]);
  const once = ["load vae decoder", "release vae decoder"];
  expect(ofDecoder!.events).toEqual([...once, ...once, "released"]);
});

it("the decoder's segments run in another one, after the UNet's is released", async () => {
  const [ofUnet, ofDecoder, ...others] = await workspacesOf({ decodes: true });
  expect(others).toEqual([]);
  expect([ofUnet!.servesRuns, ofDecoder!.servesRuns]).toEqual([true, true]);
  expect(ofDecoder!.events.at(0)).toBe("load vae decoder, segment 1");
  expect(ofDecoder!.events.at(-1)).toBe("released");
});

it.each([
  ["networks stay loaded, which outlive it", { offload: "none", decodes: true }],
  ["there is little memory, of which it would keep the last", { availableBytes: 100e6, decodes: false }],
] as const)("runs take their own memory where %s", async (_, options) => {
  const opened = await workspacesOf(options);
  expect(opened.map(({ servesRuns }) => servesRuns)).toEqual(opened.map(() => false));
  expect(opened.length).toBeGreaterThan(0);
  expect(opened.every(({ size }) => size.runBytes === 0)).toBe(true);
});
