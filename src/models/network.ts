/** How does a component of a checkpoint become a model that an engine runs? */
import type { Model } from "../engine/engine.ts";
import type { CreateLowering, Lowering } from "../lowering/lowering.ts";
import { type Segment, segmentsOf } from "../lowering/segments.ts";
import { createGraph, type Graph, storedWeights } from "../onnx/graph.ts";
import { serialise } from "../onnx/serialise.ts";
import { splitGraph } from "../onnx/split-graph.ts";
import type { Component } from "../weights/types.ts";
import { readWeights, type Weights } from "../weights/view.ts";

/** A network bound to its configuration: it reads inputs from the lowering, and names its outputs there. */
export type Network = (weights: Weights, lowering: Lowering) => void;

/** A network ready for an engine, and what it will take to run it. */
export interface WrittenNetwork {
  readonly model: Model;
  readonly graph: Graph;
}

/**
 * Writes the graph of a network over the weights of a component. Every tensor of the component must have its place in it.
 *
 * @param finish is called with the graph once all of it is written
 */
export function writeNetwork(
  name: string,
  component: Component,
  createLowering: CreateLowering,
  network: Network,
  finish: (graph: Graph) => void = () => {},
): WrittenNetwork {
  const graph = createGraph(name);
  const { weights, assertAllUsed } = readWeights(component);
  network(weights, createLowering(graph));
  assertAllUsed();
  finish(graph);
  return { graph, model: modelOf(graph, component) };
}

/** A part of a network, ready for an engine. */
export type WrittenSegment = WrittenNetwork & Segment;

/** The same network as parts that run on a few frames at a time, in the order in which they run; see {@link segmentsOf}. */
export function writeSegments(
  name: string,
  component: Component,
  createLowering: CreateLowering,
  network: Network,
): WrittenSegment[] {
  const { weights, assertAllUsed } = readWeights(component);
  const segments = segmentsOf(name, createLowering, (lowering) => network(weights, lowering));
  assertAllUsed();
  return segments.map((segment) => ({ ...segment, model: modelOf(segment.graph, component) }));
}

function modelOf(graph: Graph, { weightsFolder }: Component): Model {
  return {
    name: graph.name,
    weightsFolder,
    prepared: graph.prepared,
    isOptimised: graph.isOptimised,
    stored: storedWeights(graph),
    // Written when an engine asks: a graph that is only checked or measured needs no bytes.
    get bytes() {
      return serialise(graph);
    },
    inParts: (count) => splitGraph(graph, count).map(serialise),
  };
}

/**
 * Everything that keeps a component's tensors from being those of the network, where {@link writeNetwork} stops at the first
 * problem. Empty for a sound component.
 */
export function tensorProblems(component: Component, createLowering: CreateLowering, network: Network): string[] {
  const problems: string[] = [];
  const { weights, unused } = readWeights(component, (problem) => problems.push(`${component.name}: ${problem}`));
  try {
    network(weights, createLowering(createGraph(component.name)));
  } catch (error) {
    if (problems.length === 0) throw error; // else it follows from what was wrong before
    return problems;
  }
  const homeless = unused().map((name) => `${component.name}: ${name} has no place in the network`);
  return [...problems, ...homeless];
}
