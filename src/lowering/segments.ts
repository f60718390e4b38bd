/** How is a network cut so that it can run a few frames at a time? Where frames meet: before each temporal convolution. */
import { createGraph, type Graph, graphError } from "../onnx/graph.ts";
import { elementCount } from "../tensor.ts";
import type { Weight } from "../weights/view.ts";
import type { Activation, Lowering, Value } from "./lowering.ts";

/** A feature map of every frame of a clip. Segments hand them on; the first is given and the last is the result. */
export interface ClipMap {
  readonly name: string;
  /** Numbers in one frame. */
  readonly frameSize: number;
}

/** An input of a graph: frames of a map, and one more before and after them where `neighbours` is 1. */
interface MapRead {
  readonly input: string;
  /** (frames, channels, height, width). */
  readonly shape: readonly number[];
  readonly map: ClipMap;
  readonly neighbours: 0 | 1;
}

/** A part of the network, in which a frame meets at most the one before and the one after it. */
export interface Segment {
  readonly graph: Graph;
  readonly reads: readonly MapRead[];
  /** What the graph gives, under the maps' names. */
  readonly writes: readonly ClipMap[];
  /** Outputs (frames, groups) with the mean and the variance of a map that is written. */
  readonly gathers?:
    | { readonly map: ClipMap; readonly groups: number; readonly mean: string; readonly variance: string }
    | undefined;
  /** Inputs for the `ClipStatistics` of a map that is read with its neighbours. */
  readonly normalises?:
    | {
        readonly map: ClipMap;
        readonly eps: number;
        readonly mean: string;
        readonly inverseDeviation: string;
        readonly presence: string;
      }
    | undefined;
}

/** A segment that is being written. */
interface OpenSegment extends Segment {
  readonly lowering: Lowering;
  readonly reads: MapRead[];
  readonly writes: ClipMap[];
  gathers?: Segment["gathers"];
  normalises?: Segment["normalises"];
  /** What the graph reads already, by the names of its inputs. */
  readonly inputs: Map<string, Value>;
}

/** A value of the network as layers see it; each segment that uses it has one of its own. */
interface CutValue extends Value {
  within(segment: OpenSegment): Value;
  /** Absent where the value is the same for all frames. */
  readonly frames?: Frames;
  /** A norm over the clip that is still to be applied to the frames. */
  readonly norm?: ClipNorm;
}

/** Frames made in one segment. Others read them from a map. */
interface Frames {
  readonly home: OpenSegment;
  readonly made: Value;
  map?: ClipMap;
}

interface ClipNorm {
  readonly weight: Weight;
  readonly bias: Weight;
  readonly options: { readonly groups: number; readonly eps: number; readonly activation?: Activation };
}

/**
 * Writes a network as segments, in the order in which they run. Frames may meet only in temporal convolutions, and in the
 * statistics of a group norm over the clip right before one; an operation that may bring them together otherwise throws.
 *
 * @param write writes the network for as many frames as a segment gets at a time
 */
export function segmentsOf(
  name: string,
  createLowering: (graph: Graph) => Lowering,
  write: (lowering: Lowering) => void,
): Segment[] {
  const segments: OpenSegment[] = [];
  let current = open();
  let handedOn = 0;

  function open(): OpenSegment {
    const graph = createGraph(`${name}, segment ${segments.length + 1}`);
    const segment: OpenSegment = { graph, lowering: createLowering(graph), reads: [], writes: [], inputs: new Map() };
    segments.push(segment);
    return segment;
  }

  function valueOfFrames(frames: Frames): CutValue {
    const { home, made } = frames;
    const within = (segment: OpenSegment) => (segment === home ? made : read(segment, mapOf(frames), 0, made.shape));
    return { lowering, shape: made.shape, within, frames };
  }

  /** Such as a parameter: made anew in each segment that uses it. */
  function valueForAllFrames(make: (segment: OpenSegment) => Value): CutValue {
    const values = new Map<OpenSegment, Value>();
    function within(segment: OpenSegment): Value {
      const value = values.get(segment) ?? make(segment);
      values.set(segment, value);
      return value;
    }
    return { lowering, shape: within(current).shape, within };
  }

  /** The map that holds the frames, which their segment then writes. */
  function mapOf(frames: Frames): ClipMap {
    if (frames.map) return frames.map;
    const { home, made } = frames;
    const map = { name: `map${++handedOn}`, frameSize: elementCount(made.shape.slice(1)) };
    home.lowering.outputPlanes(map.name, made);
    home.writes.push(map);
    frames.map = map;
    return map;
  }

  /** @param shape of the frames without their neighbours */
  function read(segment: OpenSegment, map: ClipMap, neighbours: 0 | 1, shape: readonly number[]): Value {
    const input = neighbours === 0 ? map.name : `${map.name} and neighbours`;
    const known = segment.inputs.get(input);
    if (known) return known;
    const [frames, height, width, channels] = shape as [number, number, number, number];
    const taken = frames + 2 * neighbours;
    const value = segment.lowering.inputPlanes(input, [taken, height, width, channels]);
    segment.inputs.set(input, value);
    segment.reads.push({ input, shape: [taken, channels, height, width], map, neighbours });
    return value;
  }

  function gather({ home, made }: Frames, map: ClipMap, { groups }: ClipNorm["options"]): void {
    const outputs = { mean: `${map.name} mean`, variance: `${map.name} variance` };
    const { mean, variance } = home.lowering.groupStatistics(made, groups);
    home.lowering.output(outputs.mean, mean);
    home.lowering.output(outputs.variance, variance);
    home.gathers = { map, groups, ...outputs };
  }

  function normalise(segment: OpenSegment, x: Value, map: ClipMap, { weight, bias, options }: ClipNorm): Value {
    const inputs = { mean: "mean", inverseDeviation: "inverse_deviation", presence: "presence" };
    segment.normalises = { map, eps: options.eps, ...inputs };
    const statistics = {
      mean: segment.lowering.input(inputs.mean, [1, options.groups]),
      inverseDeviation: segment.lowering.input(inputs.inverseDeviation, [1, options.groups]),
      presence: segment.lowering.input(inputs.presence, [x.shape[0]!, 1]),
    };
    return segment.lowering.groupNormByStatistics(x, weight, bias, statistics, options);
  }

  function framesOf(x: Value): Frames {
    const { frames } = x as CutValue;
    if (!frames) throw graphError(current.graph, `[${x.shape}] is no feature map of the clip's frames`);
    return frames;
  }

  /** An operation on each frame by itself, or on no frame at all. */
  function frameByFrame<Name extends FrameByFrame>(operation: Name): Lowering[Name] {
    function perform(...operands: unknown[]): CutValue {
      const make = (segment: OpenSegment) => {
        const inner = operands.map((operand) => (isCutValue(operand) ? withoutNorm(operand).within(segment) : operand));
        return (segment.lowering[operation] as (...operands: unknown[]) => Value)(...inner);
      };
      const isOfFrames = operands.some((operand) => isCutValue(operand) && operand.frames);
      return isOfFrames ? valueOfFrames({ home: current, made: make(current) }) : valueForAllFrames(make);
    }
    return perform as Lowering[Name];
  }

  function withoutNorm(x: CutValue): CutValue {
    if (x.norm)
      throw graphError(current.graph, "a norm over the clip does not stand right before a temporal convolution");
    return x;
  }

  function refused(operation: string): () => never {
    return () => {
      throw graphError(current.graph, `${operation} may bring frames together, so the network cannot be cut`);
    };
  }

  const normPerFrame = frameByFrame("groupNorm");
  const reshapePerFrame = frameByFrame("reshape");
  const lowering: Lowering = {
    constant: frameByFrame("constant"),
    parameter: frameByFrame("parameter"),
    add: frameByFrame("add"),
    multiply: frameByFrame("multiply"),
    activation: frameByFrame("activation"),
    blend: frameByFrame("blend"),
    sigmoid: frameByFrame("sigmoid"),
    linear: frameByFrame("linear"),
    conv2d: frameByFrame("conv2d"),
    layerNorm: frameByFrame("layerNorm"),
    attention: frameByFrame("attention"),
    upsampleNearest: frameByFrame("upsampleNearest"),
    upsampleConv2d: frameByFrame("upsampleConv2d"),

    reshape(x, shape) {
      if ((x as CutValue).frames && shape[0] !== x.shape[0]) return refused("reshape")();
      return reshapePerFrame(x, shape);
    },

    inputPlanes(name, shape) {
      const map = { name, frameSize: elementCount(shape.slice(1)) };
      return valueOfFrames({ home: current, made: read(current, map, 0, shape), map });
    },

    output(name, x) {
      current.lowering.output(name, withoutNorm(x as CutValue).within(current));
      current.writes.push({ name, frameSize: elementCount(x.shape.slice(1)) });
    },

    groupNorm(x, weight, bias, options) {
      if (options.over === "frame") return normPerFrame(x, weight, bias, options);
      const norm: ClipNorm = { weight, bias, options };
      return { ...valueOfFrames(framesOf(withoutNorm(x as CutValue))), norm } as CutValue;
    },

    temporalConv(x, weight, bias, gain) {
      const frames = framesOf(x);
      const { norm } = x as CutValue;
      const map = mapOf(frames);
      if (norm) gather(frames, map, norm.options);
      current = open();
      const withNeighbours = read(current, map, 1, x.shape);
      const normalised = norm ? normalise(current, withNeighbours, map, norm) : withNeighbours;
      const factor = gain && (gain as CutValue).within(current);
      const made = current.lowering.temporalConvUnpadded(normalised, weight, bias, factor);
      return valueOfFrames({ home: current, made });
    },

    itemByItem: (values, _, write) => [...write(values)], // a segment has few frames at a time as it is

    input: refused("input"),
    outputPlanes: refused("outputPlanes"),
    sinusoids: refused("sinusoids"),
    temporalConvUnpadded: refused("temporalConvUnpadded"),
    groupStatistics: refused("groupStatistics"),
    groupNormByStatistics: refused("groupNormByStatistics"),
    attentionAcrossItems: refused("attentionAcrossItems"),
    concat: refused("concat"),
    repeat: refused("repeat"),
    select: refused("select"),
    exactly: refused("exactly"),
  };

  write(lowering);
  return segments;
}

type FrameByFrame =
  | "constant"
  | "parameter"
  | "add"
  | "multiply"
  | "activation"
  | "blend"
  | "sigmoid"
  | "linear"
  | "conv2d"
  | "groupNorm"
  | "layerNorm"
  | "attention"
  | "reshape"
  | "upsampleNearest"
  | "upsampleConv2d";

function isCutValue(operand: unknown): operand is CutValue {
  return typeof operand === "object" && operand !== null && "within" in operand;
}
