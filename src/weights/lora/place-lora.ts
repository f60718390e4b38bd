/** Which weight does each layer of a LoRA change? Its path is looked up among the network's, and its shape compared with the weight's. */

import { printable } from "../../printable.ts";
import { elementCount, sameShape } from "../../tensor.ts";
import type { Component, LowRankProduct, WeightEntry } from "../types.ts";
import { assertNotTooLarge, listed, refuse } from "./check-lora.ts";
import { looksLike } from "./looks-like.ts";
import type { Lora, LoraInUse, LoraLayer } from "./lora.ts";

/**
 * The component with LoRAs added to its weights, each times its strength. Files stay as they are: the sums are worked
 * out when a session starts.
 *
 * @throws StillmotionError `invalid-checkpoint` when a layer has no place in the network or does not fit it,
 *   `unsupported` when the LoRAs are too large together
 */
export function withLoras(component: Component, loras: readonly LoraInUse[]): Component {
  const pathOf = pathFinder(component);
  const additions = new Map<string, LowRankProduct[]>();
  for (const { lora, strength } of loras) {
    const placed = place(lora, component, pathOf);
    if (strength === 0) continue;
    for (const [weight, { scale, up, down, rank }] of placed) {
      const products = additions.get(weight) ?? [];
      additions.set(weight, products);
      const flat = { ...down, shape: [rank, elementCount(down.shape) / rank] };
      products.push({ scale: strength * scale, up, down: flat });
    }
  }
  assertNotTooLarge(
    [...additions.values()].flat().flatMap(({ up, down }) => [up.data.byteLength, down.data.byteLength]),
    loras.map(({ lora }) => lora.name).join(", "),
  );
  const tensors = new Map<string, WeightEntry>(component.tensors);
  for (const [name, products] of additions) tensors.set(name, { ...tensors.get(name)!, additions: products });
  return { ...component, tensors, loras: loras.map(({ lora: { name }, strength }) => ({ name, strength })) };
}

/** The layers by the name of the weight that each changes. */
function place(lora: Lora, component: Component, pathOf: PathFinder): Map<string, LoraLayer> {
  const { name, layers } = lora;
  const placed = new Map<string, LoraLayer>();
  const homeless: string[] = [];
  const misfits: string[] = [];
  for (const layer of layers) {
    const weight = `${pathOf(layer)}.weight`;
    const entry = component.tensors.get(weight);
    if (!entry) {
      homeless.push(layer.layer);
      continue;
    }
    if (placed.has(weight)) refuse(name, `names ${printable(layer.layer)} in two spellings`);
    placed.set(weight, layer);
    const problem = misfit(layer, entry);
    if (problem !== undefined) misfits.push(problem);
  }
  if (homeless.length > 0) {
    const shown = listed(homeless, "layer");
    const problem = `${homeless.length} of ${layers.length} layers have no place in the ${component.name}: ${shown.names}`;
    refuse(name, problem + madeFor(lora));
  }
  if (misfits.length > 0) {
    const more = misfits.length > 1 ? ` (and ${misfits.length - 1} more of ${layers.length} layers do not fit)` : "";
    refuse(name, misfits[0]! + more + madeFor(lora));
  }
  return placed;
}

/** Why a layer is not for this weight. Axes of size 1 at the end do not count: 1x1 convolutions and linear layers are one. */
function misfit({ layer, up, down }: LoraLayer, weight: WeightEntry): string | undefined {
  const product = [up.shape[0]!, ...down.shape.slice(1)];
  if (weight.shape.length >= 2 && sameShape(withoutOnes(product), withoutOnes(weight.shape))) return undefined;
  return `${printable(layer)} changes a weight of shape [${product.join(", ")}], expected [${weight.shape.join(", ")}]`;
}

function withoutOnes(shape: readonly number[]): readonly number[] {
  return shape.slice(0, Math.max(2, shape.findLastIndex((size) => size !== 1) + 1));
}

type PathFinder = (layer: LoraLayer) => string | undefined;

/** Finds a layer's path. Kohya writes underscores for dots, and paths have underscores too, so only the network's own paths can tell. */
function pathFinder({ tensors }: Component): PathFinder {
  const paths = [...tensors.keys()].filter((name) => name.endsWith(".weight")).map((name) => name.slice(0, -7));
  const byUnderscores = new Map(paths.map((path) => [path.replaceAll(".", "_"), path]));
  return ({ layer, spelling }) => (spelling === "kohya" ? byUnderscores.get(layer) : layer);
}

function madeFor({ layers }: Lora): string {
  const likely = looksLike(layers.map((layer) => ({ network: "unet", ...layer })));
  return likely ? `; it looks like a LoRA for ${likely.model}` : "; is it a LoRA for this checkpoint?";
}
