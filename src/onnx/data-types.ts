/** Which number does ONNX give each element type? The same in its files and in ONNX Runtime's C API. */
import type { DataType } from "../tensor.ts";

/** onnx.proto `TensorProto.DataType`, onnxruntime_c_api.h `ONNXTensorElementDataType`. */
export const onnxType: Readonly<Record<DataType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
  float8_e4m3fn: 17,
  float8_e5m2: 19,
};
