/** Which graphs do the engine's tests run? Small ones written straight as ONNX, without the project's graph layer. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { onnxType } from "../../../src/onnx/data-types.ts";
import {
  AttributeProto_AttributeType,
  type ModelProto,
  ModelProtoSchema,
  type NodeProtoSchema,
  TensorProto_DataLocation,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from "../../../src/onnx/proto/onnx_pb.ts";
import { bytesPerElement, elementCount } from "../../../src/tensor.ts";

/** With one more than our tensors have. */
export const elementType = { ...onnxType, string: 8 };
export type ElementType = keyof typeof elementType;

export interface GraphParts {
  inputs: MessageInitShape<typeof ValueInfoProtoSchema>[];
  outputs: MessageInitShape<typeof ValueInfoProtoSchema>[];
  nodes: MessageInitShape<typeof NodeProtoSchema>[];
  initializers?: MessageInitShape<typeof TensorProtoSchema>[];
}

export function model({ inputs, outputs, nodes, initializers = [] }: GraphParts): Uint8Array {
  const message: ModelProto = create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [{ domain: "", version: 21n }],
    graph: { name: "test", input: inputs, output: outputs, node: nodes, initializer: initializers },
  });
  return toBinary(ModelProtoSchema, message);
}

/** A size that is a word is known only when the graph runs. */
export function value(name: string, type: ElementType, shape: readonly (number | string)[]) {
  const dim = shape.map((size) =>
    typeof size === "number"
      ? { value: { case: "dimValue" as const, value: BigInt(size) } }
      : { value: { case: "dimParam" as const, value: size } },
  );
  return {
    name,
    type: { value: { case: "tensorType" as const, value: { elemType: elementType[type], shape: { dim } } } },
  };
}

export function node(opType: string, input: string[], output: string[]) {
  return { opType, input, output };
}

/** A weight that lies in a file of the weights' folder. */
export function externalWeight(
  name: string,
  type: "float32" | "float16",
  shape: readonly number[],
  { location, offsetBytes }: { location: string; offsetBytes: number },
) {
  return {
    name,
    dims: shape.map(BigInt),
    dataType: elementType[type],
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: [
      { key: "location", value: location },
      { key: "offset", value: String(offsetBytes) },
      { key: "length", value: String(bytesPerElement[type] * elementCount(shape)) },
    ],
  };
}

/** y = x, through one operator that does nothing. */
export function identityModel(type: ElementType, shape: readonly number[]): Uint8Array {
  return model({
    inputs: [value("x", type, shape)],
    outputs: [value("y", type, shape)],
    nodes: [node("Identity", ["x"], ["y"])],
  });
}

/** y = x multiplied by itself `products` times: as long a run as wanted, with a check between any two of them. */
export function matMulChain(size: number, products: number): Uint8Array {
  const names = ["x", ...Array.from({ length: products - 1 }, (_, i) => `h${i}`), "y"];
  return model({
    inputs: [value("x", "float32", [size, size])],
    outputs: [value("y", "float32", [size, size])],
    nodes: Array.from({ length: products }, (_, i) => node("MatMul", [names[i]!, "x"], [names[i + 1]!])),
  });
}

/** Minutes of work, in operators of some hundred milliseconds: a test that waits for its end does not pass. */
export function endlessModel() {
  return { name: "endless", bytes: matMulChain(endlessSize, 4000) };
}
/** Rows and columns of its x. */
export const endlessSize = 2048;

/** y = x with its axes changed `times` times: as many values as large as x, for little work. */
export function transposeChain(size: number, times: number): Uint8Array {
  const names = ["x", ...Array.from({ length: times - 1 }, (_, i) => `h${i}`), "y"];
  return model({
    inputs: [value("x", "float32", [size, size])],
    outputs: [value("y", "float32", [size, size])],
    nodes: Array.from({ length: times }, (_, i) => node("Transpose", [names[i]!], [names[i + 1]!])),
  });
}

/** y = x + w0 + w1 + ..., the weights one after the other in a file. */
export function externalSum(options: {
  shape: readonly number[];
  weights: number;
  location: string;
  offsetBytes?: number;
}): Uint8Array {
  const { shape, weights, location, offsetBytes = 0 } = options;
  const sizeBytes = 4 * elementCount(shape);
  const names = ["x", ...Array.from({ length: weights - 1 }, (_, i) => `h${i}`), "y"];
  return model({
    inputs: [value("x", "float32", shape)],
    outputs: [value("y", "float32", shape)],
    nodes: Array.from({ length: weights }, (_, i) => node("Add", [names[i]!, `w${i}`], [names[i + 1]!])),
    initializers: Array.from({ length: weights }, (_, i) =>
      externalWeight(`w${i}`, "float32", shape, { location, offsetBytes: offsetBytes + i * sizeBytes }),
    ),
  });
}

/** y = x w, with w of (size, size) stored as float16, as checkpoints are: the session holds it as float32. */
export function halfPrecisionProduct(size: number, location: string): Uint8Array {
  const toFloat32 = { name: "to", type: AttributeProto_AttributeType.INT, i: BigInt(elementType.float32) };
  return model({
    inputs: [value("x", "float32", [4, size])],
    outputs: [value("y", "float32", [4, size])],
    nodes: [{ ...node("Cast", ["half"], ["w"]), attribute: [toFloat32] }, node("MatMul", ["x", "w"], ["y"])],
    initializers: [externalWeight("half", "float16", [size, size], { location, offsetBytes: 0 })],
  });
}
