/**
 * Which operators may a graph use? Each is described once in `operators/`: what it is to ONNX, which dtypes it takes and gives, and what
 * it costs, with the function that writes it and knows its shapes below.
 */
export { floats, namedNumbersLike, numbersLike } from "./operators/constants.ts";
export {
  absolute,
  add,
  cast,
  cos,
  divide,
  gelu,
  maximum,
  multiply,
  quickGelu,
  reciprocal,
  sigmoid,
  sin,
  sqrt,
  subtract,
  sumOfScalars,
} from "./operators/elementwise.ts";
export {
  dequantizeLinear,
  dynamicQuantizeLinear,
  matMulIntegerToFloat,
  type QuantisedEdge,
  quantizeLinear,
} from "./operators/int8.ts";
export {
  concat,
  crop,
  expand,
  gather,
  joinColumns,
  pad,
  reshape,
  slice,
  splitColumns,
  transpose,
  upsampleNearest2x,
} from "./operators/layout.ts";
export { instanceNormalization, layerNormalization, scaleAndShift, softmax } from "./operators/norms.ts";
export { batchedMatMul, conv, gemm, matMul, multiHeadAttention, productPlus } from "./operators/products.ts";
export {
  largestOfRows,
  reduceMean,
  reduceSumSquare,
  smallestOfRows,
  sumOfAll,
  sumsOfRows,
} from "./operators/reductions.ts";
