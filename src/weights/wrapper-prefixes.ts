/** What do Python's wrappers add to the names of a network's tensors? Steps that are no part of the network's own paths. */

/** What torch.compile, FSDP and activation checkpointing add, at any depth. */
const addedAnywhere = /(^|\.)(?:(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.)+/g;

/** What DataParallel and DistributedDataParallel add, which wrap whole networks. */
const addedInFront = /^(?:module\.)+/;

/** `module._orig_mod.mid_block.attentions.0._orig_mod.norm` becomes `mid_block.attentions.0.norm`. */
export function withoutWrapperPrefixes(name: string): string {
  return name.replace(addedAnywhere, "$1").replace(addedInFront, "");
}
