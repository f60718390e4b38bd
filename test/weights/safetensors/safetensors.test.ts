import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StillmotionError } from "../../../src/errors.ts";
import type { DataType, Tensor } from "../../../src/tensor.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  parseSafetensorsHeader,
} from "../../../src/weights/safetensors/safetensors.ts";
import { hostileFiles, safetensorsFile } from "../../hostile/safetensors.ts";

const arrays = {
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  float8_e4m3fn: Uint8Array,
  float8_e5m2: Uint8Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

const anyTensor = fc
  .tuple(
    fc.constantFrom(...(Object.keys(arrays) as DataType[])),
    fc.array(fc.nat({ max: 5 }), { maxLength: 4 }),
    fc.infiniteStream(fc.nat({ max: 255 })),
  )
  .map(([dtype, shape, stream]): Tensor => {
    const count = shape.reduce((a, b) => a * b, 1);
    const data = new arrays[dtype](count);
    new Uint8Array(data.buffer).set(Array.from({ length: data.byteLength }, () => stream.next().value));
    return { dtype, shape, data };
  });
const anyName = fc.string({ unit: "grapheme" }).filter((name) => name !== "__metadata__" && name.isWellFormed());
const anyMetadata = fc.dictionary(anyName, fc.string({ unit: "grapheme" }));

function bytesOf({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function parse(bytes: Uint8Array) {
  return parseSafetensorsHeader(bytes, bytes.length, "x");
}

function errorOf(bytes: Uint8Array): StillmotionError {
  try {
    parse(bytes);
  } catch (error) {
    if (error instanceof StillmotionError) return error;
    throw error;
  }
  throw new Error("the file was read");
}

describe("round trip", () => {
  test("what is encoded is decoded again, bit for bit, whatever the names", () => {
    fc.assert(
      fc.property(fc.dictionary(anyName, anyTensor), anyMetadata, (tensors, metadata) => {
        const bytes = encodeSafetensors(tensors, metadata);
        const decoded = decodeSafetensors(bytes, "x");
        expect(Object.keys(decoded.tensors).sort()).toEqual(Object.keys(tensors).sort());
        expect(Object.entries(decoded.metadata).sort()).toEqual(Object.entries(metadata).sort());
        for (const [name, tensor] of Object.entries(tensors)) {
          const back = decoded.tensors[name]!;
          expect(back.dtype).toBe(tensor.dtype);
          expect(back.shape).toEqual(tensor.shape);
          expect(bytesOf(back)).toEqual(bytesOf(tensor));
        }
      }),
    );
  });

  test("the order in which tensors are given does not change the bytes", () => {
    fc.assert(
      fc.property(fc.dictionary(anyName, anyTensor), anyMetadata, (tensors, metadata) => {
        const reversed = Object.fromEntries(Object.entries(tensors).reverse());
        const reversedMetadata = Object.fromEntries(Object.entries(metadata).reverse());
        expect(encodeSafetensors(reversed, reversedMetadata)).toEqual(encodeSafetensors(tensors, metadata));
      }),
    );
  });

  test("every tensor lies at a multiple of its element size", () => {
    fc.assert(
      fc.property(fc.dictionary(anyName, anyTensor), (tensors) => {
        for (const [name, { offset }] of parse(encodeSafetensors(tensors)).entries) {
          expect(offset % tensors[name]!.data.BYTES_PER_ELEMENT).toBe(0);
        }
      }),
    );
  });

  test("the bytes are those of the official library", () => {
    // safetensors 0.8.0: safetensors.numpy.save({"b": uint8 [1, 2], "a": float32 [1.5]}, {"seed": "42"})
    const expected =
      "88000000000000007b225f5f6d657461646174615f5f223a7b2273656564223a223432227d2c2261223a7b22647479706522" +
      "3a22463332222c227368617065223a5b315d2c22646174615f6f666673657473223a5b302c345d7d2c2262223a7b22647479" +
      "7065223a225538222c227368617065223a5b325d2c22646174615f6f666673657473223a5b342c365d7d7d200000c03f0102";
    const bytes = encodeSafetensors(
      {
        b: { dtype: "uint8", shape: [2], data: Uint8Array.of(1, 2) },
        a: { dtype: "float32", shape: [1], data: Float32Array.of(1.5) },
      },
      { seed: "42" },
    );
    expect(Buffer.from(bytes).toString("hex")).toBe(expected);
  });

  test("a tensor whose values do not fill its shape is not written", () => {
    const tensor = { dtype: "float32", shape: [3], data: new Float32Array(2) } as const;
    expect(() => encodeSafetensors({ latents: tensor })).toThrow(
      "latents: 2 values of 4 bytes do not fill float32 [3]",
    );
    expect(() => encodeSafetensors({ __metadata__: { ...tensor, shape: [2] } })).toThrow(
      "cannot be named __metadata__",
    );
  });
});

describe("reading a header", () => {
  test("gives absolute offsets, in the order of the data", () => {
    const header =
      '{"b":{"shape":[2],"dtype":"F16","data_offsets":[8,12]},"e":{"dtype":"F64","shape":[0],"data_offsets":[8,8]},' +
      '"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}   ';
    const { entries, metadata } = parse(safetensorsFile(header, 12));
    const start = 8 + header.length;
    expect([...entries.values()]).toEqual([
      { name: "a", dtype: "F32", shape: [2, 1], offset: start, sizeBytes: 8 },
      { name: "e", dtype: "F64", shape: [0], offset: start + 8, sizeBytes: 0 },
      { name: "b", dtype: "F16", shape: [2], offset: start + 8, sizeBytes: 4 },
    ]);
    expect({ ...metadata }).toEqual({ format: "pt" });
  });

  test("needs no more of the file than the header", () => {
    const bytes = encodeSafetensors({ a: { dtype: "float32", shape: [1000], data: new Float32Array(1000) } });
    const start = bytes.slice(0, bytes.length - 4000);
    expect(parseSafetensorsHeader(start, bytes.length, "x")).toEqual(parse(bytes));
  });

  test("a name such as __proto__ is a name like any other", () => {
    const header = '{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"__metadata__":{"__proto__":"a"}}';
    const bytes = safetensorsFile(header, 1);
    expect(Object.entries(parse(bytes).metadata)).toEqual([["__proto__", "a"]]);
    const { tensors } = decodeSafetensors(bytes, "x");
    expect(Object.keys(tensors)).toEqual(["__proto__"]);
    expect(({} as Record<string, unknown>).dtype).toBeUndefined();
  });

  test("a format that graphs do not know is named when its data are wanted", () => {
    const bytes = safetensorsFile('{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}', 8);
    expect(() => decodeSafetensors(bytes, "latents.safetensors")).toThrow(
      "latents.safetensors: a is stored as F64; stillmotion reads F32, F16, BF16, F8_E4M3, F8_E5M2, I64, I32, I8, U8, BOOL",
    );
  });
});

describe("hostile files", () => {
  test.each(Object.entries(hostileFiles))("%s", (_, { bytes, code, message }) => {
    const error = errorOf(bytes);
    expect(error.message).toBe(message);
    expect(error.code).toBe(code);
  });

  test("every cut of a good file is refused, without reading past the cut", () => {
    const bytes = encodeSafetensors({ a: { dtype: "float32", shape: [3], data: new Float32Array(3) } }, { seed: "1" });
    for (let length = 0; length < bytes.length; length++) {
      expect(errorOf(bytes.slice(0, length)).message).toMatch(/half a download/);
    }
  });

  test("mutated headers are read or refused with a StillmotionError, and what is read lies inside the file", () => {
    const seeds = [
      ...Object.values(hostileFiles).map(({ bytes }) => bytes),
      encodeSafetensors({
        "conv_in.weight": { dtype: "float16", shape: [4, 2], data: new Uint16Array(8) },
        "conv_in.bias": { dtype: "float32", shape: [4], data: new Float32Array(4) },
      }),
      encodeSafetensors({ a: { dtype: "int8", shape: [2, 0], data: new Int8Array(0) } }, { format: "pt", ü: "☃" }),
    ].filter((bytes) => bytes.length < 1000);
    const interesting = fc.constantFrom(...'{}[]",:\\0129-.eu \0\xff');
    const mutation = fc.record({
      kind: fc.constantFrom("set", "insert", "delete", "copy"),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      from: fc.double({ min: 0, max: 1, noNaN: true }),
      byte: fc.oneof(
        interesting.map((character) => character.charCodeAt(0)),
        fc.nat({ max: 255 }),
      ),
    });
    let read = 0;
    fc.assert(
      fc.property(fc.constantFrom(...seeds), fc.array(mutation, { maxLength: 6 }), fc.boolean(), (seed, steps, fix) => {
        let bytes = [...seed];
        for (const { kind, at, from, byte } of steps) {
          const index = Math.floor(at * bytes.length);
          const source = Math.floor(from * bytes.length);
          if (kind === "set" && bytes.length > 0) bytes[Math.min(index, bytes.length - 1)] = byte;
          else if (kind === "insert") bytes.splice(index, 0, byte);
          else if (kind === "delete") bytes.splice(index, 1 + (byte % 8));
          else bytes = [...bytes.slice(0, index), ...bytes.slice(source, source + 40), ...bytes.slice(index)];
        }
        const mutated = Uint8Array.from(bytes);
        // Half of the time the length field is right again, so that the JSON is reached.
        const end = mutated.lastIndexOf(0x7d) + 1;
        if (fix && end > 8) new DataView(mutated.buffer).setBigUint64(0, BigInt(end - 8), true);
        try {
          for (const { offset, sizeBytes } of parse(mutated).entries.values()) {
            expect(offset).toBeGreaterThanOrEqual(8);
            expect(offset + sizeBytes).toBeLessThanOrEqual(mutated.length);
          }
          read++;
        } catch (error) {
          if (!(error instanceof StillmotionError)) throw error;
          expect(["invalid-checkpoint", "unsupported"]).toContain(error.code);
          expect(error.message.length).toBeLessThan(1500);
        }
      }),
      { numRuns: 100_000, seed: 20261123 },
    );
    expect(read).toBeGreaterThan(300);
  }, 300_000);
});
