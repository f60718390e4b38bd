/** How does a graph become the bytes that ONNX Runtime loads? With the code generated from ONNX's published proto. */
import { create, toBinary } from "@bufbuild/protobuf";
import { bytesPerElement, elementCount } from "../tensor.ts";
import { onnxType } from "./data-types.ts";
import { anySize, type Edge, type Graph, type Initializer, nodesInOrder } from "./graph.ts";
import { type Attribute, channelBlocks, microsoft, onnx } from "./operators/operator.ts";
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataLocation as DataLocation,
  ModelProtoSchema,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from "./proto/onnx_pb.ts";

/** ONNX 1.16, which ONNX Runtime reads from 1.18 on. */
const irVersion = 10n;
const operatorSets = [onnx, microsoft, channelBlocks];

export function serialise(graph: Graph): Uint8Array {
  const model = create(ModelProtoSchema, {
    irVersion,
    opsetImport: operatorSets.map(({ domain, version }) => ({ domain, version: BigInt(version) })),
    producerName: "stillmotion",
    graph: {
      name: graph.name,
      input: graph.inputs.map(valueInfo),
      output: graph.outputs.map(valueInfo),
      initializer: Array.from(graph.initializers.values(), initializer),
      node: nodesInOrder(graph).map((node) => ({
        opType: node.operator.name,
        domain: node.operator.set.domain,
        input: [...node.inputs],
        output: [...node.outputs],
        name: node.outputs[0]!,
        attribute: Object.entries(node.attributes).map(([name, value]) => attribute(name, value)),
      })),
    },
  });
  return toBinary(ModelProtoSchema, model);
}

function valueInfo(value: Edge) {
  return create(ValueInfoProtoSchema, {
    name: value.name,
    type: {
      value: {
        case: "tensorType",
        value: {
          elemType: onnxType[value.dtype],
          shape: { dim: value.shape.map(dimension) },
        },
      },
    },
  });
}

function dimension(size: number) {
  return size === anySize ? {} : { value: { case: "dimValue" as const, value: BigInt(size) } };
}

function initializer({ value, data }: Initializer) {
  const tensor = { name: value.name, dims: value.shape.map(BigInt), dataType: onnxType[value.dtype] };
  if (ArrayBuffer.isView(data)) {
    return create(TensorProtoSchema, {
      ...tensor,
      rawData: new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength),
    });
  }
  // A prepared one is given when a session is made. Until then it says that it lies at the start of its source's file, which
  // must be there, and is not read.
  const sizeBytes = elementCount(value.shape) * bytesPerElement[value.dtype];
  const external = "preparedFrom" in data ? { file: data.preparedFrom, offset: 0, sizeBytes } : data;
  return create(TensorProtoSchema, {
    ...tensor,
    dataLocation: DataLocation.EXTERNAL,
    externalData: [
      { key: "location", value: external.file },
      { key: "offset", value: String(external.offset) },
      { key: "length", value: String(external.sizeBytes) },
    ],
  });
}

function attribute(name: string, value: Attribute): AttributeProto {
  if (typeof value === "number") {
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  }
  if (typeof value === "string") {
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) });
  }
  if ("float" in value) return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
}
