/** How is attention written among few items, where a fused operator costs more for each token than the products themselves? */
import type { Edge } from "../../onnx/graph.ts";
import * as ops from "../../onnx/ops.ts";

/**
 * (items, tokens, heads * head size): for each token and head a small product of queries and keys, a softmax, and a product of the
 * scores and values, all read where they lie. The scores are items / head size times as large as the queries.
 */
export function attendAcrossItems(q: Edge, k: Edge, v: Edge, heads: number): Edge {
  const [items, tokens, channels] = q.shape as [number, number, number];
  const headSize = channels / heads;
  const byHead = (x: Edge) => ops.reshape(x, [items, tokens * heads, headSize]);
  const scores = ops.batchedMatMul(byHead(q), byHead(k), {
    alpha: 1 / Math.sqrt(headSize),
    aBatchSecond: true,
    bBatchSecond: true,
    transposeB: true,
  }); // (tokens * heads, items, items)
  const attended = ops.batchedMatMul(ops.softmax(scores), byHead(v), { bBatchSecond: true }); // (tokens * heads, items, head size)
  return ops.reshape(ops.transpose(attended, [1, 0, 2]), q.shape);
}
