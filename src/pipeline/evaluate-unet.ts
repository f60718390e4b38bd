/** Which networks answer when denoising asks the UNet? The UNet itself, or with DeepCache two of it in turn. */
import type { DeviceTensor } from "../engine/engine.ts";
import type { FloatTensor, Tensor } from "../tensor.ts";
import type { Halves } from "./guidance.ts";
import type { StageSession } from "./not-finite.ts";

export type UnetInputs = Readonly<Record<string, FloatTensor>>;

/** One evaluation of one clip: its inputs, and the sample for each half of them. Evaluations of a run never overlap. */
export type EvaluateUnet = (clip: number, inputs: Halves<UnetInputs>) => Promise<Halves<Float32Array>>;

interface Running {
  readonly signal?: AbortSignal | undefined;
  /** What the evaluation of a clip is called in errors. */
  readonly partOf: (clip: number) => string;
}

/**
 * @param sessions of the networks that `unetsOf` gives for this interval
 * @param interval DeepCache's; 1 for none
 */
export function evaluateUnet(sessions: readonly StageSession[], interval: number, running: Running): EvaluateUnet {
  const [full, shallow] = sessions as [StageSession, StageSession?];
  return shallow ? withDeepCache({ full, shallow, interval }, running) : alwaysWhole(full, running);
}

function alwaysWhole(unet: StageSession, { signal, partOf }: Running): EvaluateUnet {
  return async (clip, inputs) =>
    samples(await mapHalves(inputs, (half) => unet.run(half, { signal, part: partOf(clip) })));
}

/**
 * DeepCache (Ma et al. 2023, arXiv 2312.00858, section 3.3, uniform): one of every `interval` evaluations runs the whole
 * UNet, those after it the shallow one with the feature that it left on the device, kept for each clip and half. What is there in the
 * end is released with the stage.
 *
 * Both halves of an evaluation are of one kind, since guidance would amplify what an old feature changes in one of them
 * alone. So a half that begins in the middle has the whole UNet run for both.
 */
function withDeepCache(
  { full, shallow, interval }: { full: StageSession; shallow: StageSession; interval: number },
  { signal, partOf }: Running,
): EvaluateUnet {
  const caches = new Map<number, { features: Halves<DeviceTensor>; evaluations: number }>();
  return async (clip, inputs) => {
    const cache = caches.get(clip);
    const running = { signal, part: partOf(clip) };
    const hasHalves = cache && (!inputs.unconditional || cache.features.unconditional);
    if (hasHalves && cache.evaluations < interval) {
      cache.evaluations++;
      const { features } = cache;
      const run = (half: UnetInputs, name: keyof Halves<unknown>) =>
        shallow.run({ ...half, deep_feature: features[name]! }, running);
      return samples(await mapHalves(inputs, run));
    }
    caches.delete(clip);
    if (cache) await mapHalves(cache.features, (feature) => feature.release()); // its memory is free for the evaluation
    const outputs = await mapHalves(inputs, (half) => full.run(half, { ...running, keep: ["deep_feature"] }));
    const features = await mapHalves(outputs, async (half) => half.deep_feature);
    caches.set(clip, { features, evaluations: 1 });
    return samples(outputs);
  };
}

function samples(outputs: Halves<Readonly<Record<string, Tensor | DeviceTensor>>>): Promise<Halves<Float32Array>> {
  return mapHalves(outputs, async (half) => (half.sample as FloatTensor).data);
}

/** One half after the other, so that memory is that of one. */
async function mapHalves<From, To>(
  { conditional, unconditional }: Halves<From>,
  map: (half: From, name: keyof Halves<unknown>) => Promise<To>,
): Promise<Halves<To>> {
  const mapped = unconditional === undefined ? undefined : await map(unconditional, "unconditional");
  return { unconditional: mapped, conditional: await map(conditional, "conditional") };
}
