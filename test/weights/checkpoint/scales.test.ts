/**
 * Are weights in fp8 read, with and without scales, wherever weights are, and does a run give what those numbers give in fp32?
 *
 * Golden: python -m reference.golden float8 (reference/golden/float8.py), diffusers 0.42.1
 * Golden: python -m reference.golden lora (reference/golden/lora.py), diffusers 0.42.1
 */
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { float32ToBfloat16 } from "../../../src/half.ts";
import { createCpuFp32Lowering } from "../../../src/lowering/cpu/fp32.ts";
import { StableVideoDiffusionPipeline } from "../../../src/node/stable-video-diffusion.ts";
import { openCheckpoint, readSafetensors } from "../../../src/node/weights.ts";
import { memoryOf } from "../../../src/onnx/memory.ts";
import type { FromPretrainedOptions } from "../../../src/options/load-options.ts";
import type { Tensor } from "../../../src/tensor.ts";
import { decodeSafetensors, encodeSafetensors } from "../../../src/weights/safetensors/safetensors.ts";
import { scratchFolder, stillmotionHere } from "../../cli/command.ts";
import { testEngine } from "../../support/evaluate.ts";
import { type Float8, fromFloat8, toFloat8 } from "../../support/float8.ts";
import { expectClose, readGolden } from "../../support/golden.ts";
import { picture } from "../../support/picture.ts";
import { networksOf } from "../../support/platform.ts";
import { runUnet, unetCall } from "../../support/unet-call.ts";
import { inFp32, mapped, readStored, type Tensors, writeTensors } from "../single-file/layouts.ts";

const engine = testEngine();
const source = join(import.meta.dirname, "../../checkpoints/two-levels-fp32");
const weightsFiles = ["unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "image_encoder/model"];

/** A form of storing in fp8: the tensors that take a tensor's place. */
type Store = (name: string, tensor: Tensor) => Tensors;

const float32 = (shape: readonly number[], ...values: number[]): Tensor => ({
  dtype: "float32",
  shape,
  data: Float32Array.from(values),
});

const plain =
  (dtype: Float8): Store =>
  (name, tensor) => ({ [name]: toFloat8(dtype, tensor) });
const isScaled = (name: string, { shape }: Tensor) => name.endsWith(".weight") && shape.length > 1;

/** As ComfyUI stores them: one scale for a weight. What only computing in fp8 needs lies beside. */
const comfyWith =
  (scaleOf: (largest: number) => number): Store =>
  (name, tensor) => {
    if (!isScaled(name, tensor)) return { [name]: tensor };
    const data = tensor.data as Float32Array;
    const scale = Math.fround(scaleOf(data.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)));
    const stored = toFloat8("float8_e4m3fn", { ...tensor, data: data.map((value) => value / scale) });
    const base = name.slice(0, -"weight".length);
    return { [name]: stored, [`${base}scale_weight`]: float32([], scale), [`${base}scale_input`]: float32([], 2) };
  };
const comfy = comfyWith((largest) => largest / 448);

/** One scale for each row. */
const perRow =
  (shapeOf: (outputs: number) => readonly number[], scaleOf = (row: number) => 0.001 * (1 + (row % 7))): Store =>
  (name, tensor) => {
    if (!isScaled(name, tensor)) return { [name]: tensor };
    const outputs = tensor.shape[0]!;
    const size = tensor.data.length / outputs;
    const scales = Float32Array.from({ length: outputs }, (_, row) => scaleOf(row));
    const data = (tensor.data as Float32Array).map((value, index) => value / scales[Math.floor(index / size)]!);
    return {
      [name]: toFloat8("float8_e4m3fn", { ...tensor, data }),
      [`${name}_scale`]: { dtype: "float32", shape: shapeOf(outputs), data: scales },
    };
  };

const mark: Tensors = { scaled_fp8: { dtype: "float8_e4m3fn", shape: [2], data: new Uint8Array(2) } };

/** The numbers that stored tensors stand for, in fp32: by their definition, the stored number times its scale. */
function numbersOf(name: string, stored: Tensors): Tensor {
  const { shape, data } =
    stored[name]!.dtype === "float32" ? (stored[name] as Tensor<Float32Array>) : fromFloat8(stored[name]!);
  const scales = (stored[`${name}_scale`] ?? stored[name.replace(/(^|\.)weight$/, "$1scale_weight")])?.data;
  if (!(scales instanceof Float32Array) || stored[name]!.dtype === "float32") return { dtype: "float32", shape, data };
  const size = data.length / scales.length;
  return { dtype: "float32", shape, data: data.map((value, index) => value * scales[Math.floor(index / size)]!) };
}

/** The checkpoint stored so, and the one whose fp32 weights are the same numbers. */
async function checkpoints(store: Store, extra: Tensors = {}) {
  const folder = await scratchFolder();
  const [stored, asFp32, asBf16] = [join(folder, "stored"), join(folder, "fp32"), join(folder, "bf16")];
  for (const each of [stored, asFp32, asBf16]) await cp(source, each, { recursive: true });
  for (const file of weightsFiles) {
    const { tensors } = await readSafetensors(join(source, `${file}.safetensors`));
    const inFp8: Tensors = {};
    const numbers: Tensors = {};
    for (const [name, tensor] of Object.entries(tensors)) {
      const made = tensor.dtype === "float32" ? store(name, tensor) : { [name]: tensor };
      Object.assign(inFp8, made);
      numbers[name] = tensor.dtype === "float32" ? numbersOf(name, made) : tensor;
    }
    await writeTensors(join(stored, `${file}.safetensors`), { ...inFp8, ...extra });
    await writeTensors(join(asFp32, `${file}.safetensors`), numbers);
    const isStoredSo = ([name]: [string, Tensor]) => inFp8[name]!.dtype.startsWith("float8");
    const bf16 = mapped(Object.fromEntries(Object.entries(numbers).filter(isStoredSo)), inBf16);
    await writeTensors(join(asBf16, `${file}.safetensors`), { ...numbers, ...bf16 });
  }
  return { stored, asFp32, asBf16 };
}

function inBf16({ shape, data }: Tensor): Tensor {
  return { dtype: "bfloat16", shape, data: float32ToBfloat16(data as Float32Array) };
}

async function frames(
  model: string,
  options: FromPretrainedOptions = {},
  { decodeChunkSize = 2 } = {},
): Promise<Float32Array> {
  const pipe = await StableVideoDiffusionPipeline.fromPretrained(model, { threads: 2, ...options });
  try {
    const size = { width: 48, height: 32, numFrames: 2, numInferenceSteps: 2, decodeChunkSize, seed: 3 };
    const { frames } = await pipe.generate(picture, { ...size, outputType: "floats" });
    return frames[0]!.data;
  } finally {
    await pipe.dispose();
  }
}

/** A difference of long arrays would take minutes to print. */
function expectSame(got: Float32Array, wanted: Float32Array, what: string): void {
  const first = wanted.findIndex((value, index) => !Object.is(got[index], value));
  expect({ what, length: got.length, first, value: got[first] }).toEqual({
    what,
    length: wanted.length,
    first: -1,
    value: undefined,
  });
}

const forms: Readonly<Record<string, readonly [Store, Tensors?]>> = {
  float8_e4m3fn: [plain("float8_e4m3fn")],
  float8_e5m2: [plain("float8_e5m2")],
  "ComfyUI's scaled fp8": [comfy, mark],
  "a scale for each row": [perRow((outputs) => [outputs, 1])],
};

describe.each(Object.entries(forms))("a checkpoint in %s", (_, [store, extra]) => {
  it("gives the frames of the same numbers in fp32, bit for bit", { timeout: 240_000 }, async () => {
    const { stored, asFp32 } = await checkpoints(store, extra);
    const expected = await frames(asFp32);
    expectSame(await frames(stored), expected, "stored");
    expectSame(await frames(stored, { weightStorage: "fp32" }), expected, "prepared");
    const rows = { weightStorage: "int8" } as const;
    expectSame(await frames(stored, rows), await frames(asFp32, rows), "rows in int8");
  });
});

it("frames that are decoded one at a time are the same", async () => {
  const { stored, asFp32 } = await checkpoints(comfy, mark);
  const window = { decodeChunkSize: 1 };
  const [got, wanted] = [await frames(stored, {}, window), await frames(asFp32, {}, window)];
  // The last bit may differ: these runs share memory, and buffers lie in other places.
  expect(wanted.reduce((most, value, index) => Math.max(most, Math.abs(got[index]! - value)), 0)).toBeLessThan(1e-5);
});

/** bfloat16 holds their numbers, and is cast as they are: a matrix that lies in its file as fp32 is packed, and rounds in another order. */
const exactInBf16: Readonly<Record<string, Store>> = {
  float8_e4m3fn: plain("float8_e4m3fn"),
  float8_e5m2: plain("float8_e5m2"),
  "ComfyUI's scaled fp8": comfyWith((largest) => 2 ** Math.ceil(Math.log2(largest / 448))),
  "a scale for each row": perRow(
    (outputs) => [outputs, 1],
    (row) => 2 ** -(6 + (row % 3)),
  ),
};

it.each(Object.entries(exactInBf16))(
  "in int8 %s gives the frames of the same numbers in bf16",
  async (_, store) => {
    const { stored, asBf16 } = await checkpoints(store);
    expectSame(await frames(stored, { dtype: "int8" }), await frames(asBf16, { dtype: "int8" }), "int8");
  },
  120_000,
);

it.each(["float8_e4m3fn", "float8_e5m2", "scaled"])("the UNet in %s gives what the reference gives", async (form) => {
  const golden = await readGolden("weights", "golden", "float8.safetensors");
  const { stored } = await checkpoints(form === "scaled" ? comfy : plain(form as Float8));
  const { write } = networksOf(await openCheckpoint(stored));
  const call = unetCall((argument) => golden.tensor(`input.${argument}`), 0);
  const sample = golden.tensor(`output.${form}.sample`);
  const expected = { ...sample, shape: sample.shape.slice(1) };
  expectClose(await runUnet(engine(), write, call), expected, golden.tolerance);
});

it("in fp8 a checkpoint takes a quarter of fp32's memory for its weights", async () => {
  const { stored, asFp32 } = await checkpoints(plain("float8_e4m3fn"));
  const weightsBytes = async (folder: string, storage?: "fp32") => {
    const { write } = networksOf(await openCheckpoint(folder), {
      create: (graph) => createCpuFp32Lowering(graph, storage),
    });
    return [...write.unet({ frames: 2, height: 8, width: 8 }).graph.initializers.values()]
      .filter(({ data }) => !ArrayBuffer.isView(data))
      .reduce((sum, { value }) => sum + memoryOfEdge(value), 0);
  };
  const memoryOfEdge = ({ shape, dtype }: { shape: readonly number[]; dtype: string }) =>
    shape.reduce((product, size) => product * size, 1) * (dtype === "float32" ? 4 : 1);
  expect(4 * (await weightsBytes(stored))).toBe(await weightsBytes(asFp32));
  expect(await weightsBytes(stored, "fp32")).toBe(await weightsBytes(asFp32, "fp32"));
  const { write } = networksOf(await openCheckpoint(stored));
  expect(memoryOf(write.unet({ frames: 2, height: 8, width: 8 }).graph).weightsBytes).toBeGreaterThan(
    await weightsBytes(stored),
  );
});

describe("a single file", () => {
  /** Of the image encoder's matrices one lies transposed, and one is three that are read as rows of it. */
  it.each(["plain", "scaled", "a scale for each row"])(
    "in fp8 (%s) gives the same numbers' frames",
    { timeout: 240_000 },
    async (form) => {
      const rows = perRow((outputs) => [outputs]);
      const store: Store = form === "plain" ? plain("float8_e4m3fn") : form === "scaled" ? comfy : rows;
      const [stored, numbers]: [Tensors, Tensors] = [{}, {}];
      for (const [name, tensor] of Object.entries(inFp32(await readStored()))) {
        const isJoined = form !== "plain" && name.endsWith("in_proj_weight");
        const made = isJoined ? underName(name, rows("x.weight", tensor)) : store(name, tensor);
        Object.assign(stored, made);
        numbers[name] = numbersOf(name, made);
      }
      const extra = form === "plain" ? {} : { "model.diffusion_model.scaled_fp8": mark.scaled_fp8!, ...mark };
      const folder = await scratchFolder();
      const fp8 = await writeTensors(join(folder, "fp8.safetensors"), { ...stored, ...extra });
      const fp32 = await writeTensors(join(folder, "fp32.safetensors"), numbers);
      // Some frames at a time, the last bit depends on where buffers lie in the runs' common memory.
      const whole = { decodeChunkSize: 2 };
      expectSame(await frames(fp8, {}, whole), await frames(fp32, {}, whole), form);
    },
  );

  /** Of a weight that is not called so by the last part of its name. */
  function underName(name: string, stored: Tensors): Tensors {
    return { [name]: stored["x.weight"]!, [`${name}_scale`]: stored["x.weight_scale"]! };
  }
});

it("a UNet in fp8 may take a checkpoint's UNet's place, and a LoRA in fp8 changes it", {
  timeout: 120_000,
}, async () => {
  const { stored, asFp32 } = await checkpoints(comfy, mark);
  const folder = await scratchFolder();
  const unet = (from: string) => join(from, "unet", "diffusion_pytorch_model.safetensors");
  const { tensors } = await readSafetensors(join(import.meta.dirname, "../lora/golden/kohya.safetensors"));
  const lora: Tensors = {};
  const loraInFp32: Tensors = {};
  for (const [name, tensor] of Object.entries(inFp32(tensors))) {
    lora[name] = toFloat8("float8_e5m2", tensor);
    loraInFp32[name] = fromFloat8(lora[name]);
  }
  const inFp8 = await writeTensors(join(folder, "lora.safetensors"), lora);
  const asFloats = await writeTensors(join(folder, "floats.safetensors"), loraInFp32);
  const expected = await frames(source, { unet: unet(asFp32), loras: [{ path: asFloats }] });
  expectSame(await frames(source, { unet: unet(stored), loras: [{ path: inFp8 }] }), expected, "with both");
  expect(await frames(source, { unet: unet(asFp32) })).not.toEqual(expected);
});

it("the shards of a weight and of its scale may be two", async () => {
  const { stored } = await checkpoints(comfy);
  const folder = join(stored, "unet");
  const path = join(folder, "diffusion_pytorch_model.safetensors");
  const { tensors } = decodeSafetensors(await readFile(path), path);
  const isScale = (name: string) => name.endsWith("scale_weight");
  const shards = {
    "a.safetensors": Object.entries(tensors).filter(([name]) => isScale(name)),
    "b.safetensors": Object.entries(tensors).filter(([name]) => !isScale(name)),
  };
  const map: Record<string, string> = {};
  for (const [file, entries] of Object.entries(shards)) {
    await writeFile(join(folder, file), encodeSafetensors(Object.fromEntries(entries)));
    for (const [name] of entries) map[name] = file;
  }
  const expected = (await openCheckpoint(stored)).unet.tensors.get("conv_in.weight")!;
  await rm(path);
  await writeFile(`${path}.index.json`, JSON.stringify({ weight_map: map }));
  const { scales, file } = (await openCheckpoint(stored)).unet.tensors.get("conv_in.weight")!;
  expect({ scales, file }).toEqual({ scales: expected.scales, file: "b.safetensors" });
});

describe("is refused by name:", () => {
  const changed = async (change: (tensors: Tensors) => void) => {
    const { stored } = await checkpoints(plain("float8_e4m3fn"));
    const path = join(stored, "unet", "diffusion_pytorch_model.safetensors");
    const { tensors } = await readSafetensors(path);
    change(tensors);
    await writeTensors(path, tensors);
    return openCheckpoint(stored);
  };

  it.each<[string, string, (tensors: Tensors) => void, string]>([
    [
      "a scale for each block",
      "unsupported",
      (tensors) => {
        tensors["conv_in.weight_scale_inv"] = float32([2, 2], 1, 1, 1, 1);
      },
      "conv_in.weight_scale_inv of shape [2, 2] scales blocks of conv_in.weight",
    ],
    [
      "optimum-quanto",
      "unsupported",
      (tensors) => {
        tensors["conv_in.weight._data"] = tensors["conv_in.weight"]!;
        delete tensors["conv_in.weight"];
      },
      "quantised as optimum-quanto stores them, by its tensor conv_in.weight._data",
    ],
    [
      "bitsandbytes",
      "unsupported",
      (tensors) => {
        tensors["conv_in.weight.absmax"] = float32([1], 1);
      },
      "quantised as bitsandbytes stores them",
    ],
    [
      "a scale that is not finite",
      "invalid-checkpoint",
      (tensors) => {
        tensors["conv_in.scale_weight"] = float32([1], Number.NaN);
      },
      "the scale conv_in.scale_weight is NaN, expected a finite number",
    ],
    [
      "two scales",
      "invalid-checkpoint",
      (tensors) => {
        tensors["conv_in.scale_weight"] = float32([1], 1);
        tensors["conv_in.weight_scale"] = float32([1], 1);
      },
      "has two scales for conv_in.weight",
    ],
    [
      "a scale of no weight",
      "invalid-checkpoint",
      (tensors) => {
        tensors["nowhere.scale_weight"] = float32([1], 1);
      },
      "nowhere.scale_weight",
    ],
  ])("%s", async (_, code, change, message) => {
    const opening = changed(change).then((checkpoint) =>
      networksOf(checkpoint).write.unet({ frames: 1, height: 4, width: 4 }),
    );
    await expect(opening).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it("the formats without a negative zero", async () => {
    const { stored } = await checkpoints(plain("float8_e4m3fn"));
    const path = join(stored, "unet", "diffusion_pytorch_model.safetensors");
    const bytes = await readFile(path);
    const header = bytes.toString("latin1", 8, 8 + Number(bytes.readBigUInt64LE(0)));
    const renamed = `${header.trimEnd().replaceAll('"F8_E4M3"', '"F8_E4M3FNUZ"')}`;
    const head = Buffer.alloc(8);
    head.writeBigUInt64LE(BigInt(renamed.length));
    await writeFile(path, Buffer.concat([head, Buffer.from(renamed, "latin1"), bytes.subarray(8 + header.length)]));
    await expect(openCheckpoint(stored)).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringContaining("is stored as F8_E4M3FNUZ; stillmotion reads F32, F16, BF16, F8_E4M3, F8_E5M2"),
    });
  });
});

it("inspect shows the format, and that there are scales", async () => {
  const { stored } = await checkpoints(comfy, mark);
  const { code, stdout } = await stillmotionHere(["inspect", stored]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^ {2}\d+ tensors, .*float32 \(\d+\), float8_e4m3fn with a scale \(\d+\), /m);
});
