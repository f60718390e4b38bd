/** How do tensors become values of ONNX Runtime, and values tensors? */
import { StillmotionError } from "../../errors.ts";
import { onnxType } from "../../onnx/data-types.ts";
import { bytesPerElement, type DataType, elementCount, type Tensor } from "../../tensor.ts";
import { copyOfMemory, type Handle, nativeCells, type OrtApi, viewOfMemory } from "./api.ts";
import type { PlacedTensor, WireTensor } from "./messages.ts";

type TensorType = Pick<Tensor, "dtype" | "shape">;

/** An `OrtValue` over memory that is there already and must outlive it. */
export function valueOver(api: OrtApi, memoryInfo: Handle, { dtype, shape, memory }: PlacedTensor): Handle {
  return api.CreateTensorWithDataAsOrtValue(
    memoryInfo,
    memory,
    sizeBytes({ dtype, shape }),
    BigInt64Array.from(shape, BigInt),
    shape.length,
    onnxType[dtype],
  );
}

/** An `OrtValue` in memory of the host that is its own, and in no session's arena. */
export function emptyValue(api: OrtApi, { dtype, shape }: TensorType): Handle {
  const allocator = api.GetAllocatorWithDefaultOptions(); // the library's own, not to be released
  return api.CreateTensorAsOrtValue(allocator, BigInt64Array.from(shape, BigInt), shape.length, onnxType[dtype]);
}

/** A value of its own with what lies in another one of the host's memory. */
export function copyOfValue(api: OrtApi, name: string, value: Handle): Handle {
  const type = typeOfValue(api, name, value);
  const copy = emptyValue(api, type);
  const bytes = sizeBytes(type);
  const view = (each: Handle) => new Uint8Array(viewOfMemory(api.GetTensorMutableData(each), bytes));
  if (bytes > 0) view(copy).set(view(value));
  return copy;
}

/** Copies a value of the host's memory. */
export function readTensor(api: OrtApi, name: string, value: Handle): WireTensor {
  const type = typeOfValue(api, name, value);
  return { ...type, buffer: copyOfMemory(api.GetTensorMutableData(value), sizeBytes(type)) };
}

export function typeOfValue(api: OrtApi, name: string, value: Handle): TensorType {
  const info = api.GetTensorTypeAndShape(value);
  try {
    return typeOf(api, name, info);
  } finally {
    api.ReleaseTensorTypeAndShapeInfo(info);
  }
}

/** Undefined where it is no tensor, or a size of its shape is known only when the graph has run. */
export function typeOfOutput(api: OrtApi, session: Handle, index: number, name: string): TensorType | undefined {
  const info = api.SessionGetOutputTypeInfo(session, index);
  try {
    const tensorInfo = api.CastTypeInfoToTensorInfo(info); // the type's own, not to be released
    if (tensorInfo === 0n) return undefined;
    const type = typeOf(api, name, tensorInfo);
    return type.shape.every((size) => size >= 0) ? type : undefined;
  } finally {
    api.ReleaseTypeInfo(info);
  }
}

function typeOf(api: OrtApi, name: string, info: Handle): TensorType {
  const type = Number(api.GetTensorElementType(info));
  const dtype = (Object.keys(onnxType) as DataType[]).find((dtype) => onnxType[dtype] === type);
  if (dtype === undefined) {
    throw new StillmotionError("unsupported", `output ${name} has element type ${type}, which is no dtype of a tensor`);
  }
  const dimensions = nativeCells(Number(api.GetDimensionsCount(info)));
  api.GetDimensions(info, dimensions, dimensions.length);
  return { dtype, shape: Array.from(new BigInt64Array(dimensions.buffer), Number) };
}

function sizeBytes({ dtype, shape }: TensorType): number {
  return elementCount(shape) * bytesPerElement[dtype];
}
