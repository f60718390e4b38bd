/** Which steps of a tensor's name come only from what the network was wrapped in when it was saved? */

/** Attributes that hold the wrapped module: of torch.compile, DataParallel, FullyShardedDataParallel and checkpoint_wrapper. */
const wrapperSteps: ReadonlySet<string> = new Set([
  "_orig_mod",
  "module",
  "_fsdp_wrapped_module",
  "_checkpoint_wrapped_module",
]);

/** `module._orig_mod.conv_in.weight` -> `conv_in.weight`; wrappers inside the path go too. */
export function withoutWrappers(name: string): string {
  const steps = name.split(".");
  const kept = steps.filter((step, index) => index === steps.length - 1 || !wrapperSteps.has(step));
  return kept.length === steps.length ? name : kept.join(".");
}

/** What is looked at of a name that may be hostile. */
export const longestStart = 200;

/** True below `ema.`, `model_ema.` and the like: averages of the training, a second copy that is not taken for the weights. */
export function isAverage(name: string): boolean {
  return /(?:^|\.)(?:\w+_)?ema(?:_\w+)?\./i.test(name.slice(0, longestStart));
}
