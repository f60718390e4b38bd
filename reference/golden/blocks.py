"""What does each block of the UNet and the VAE give? The weights are those of the test checkpoints, read where they lie.

`config` names the checkpoint, the component and the block's path in it.
"""

import torch
from torch import nn

from .checkpoints import load_checkpoint
from .files import NETWORK, generator_of, prefixed, save_golden

# Component, path in it, channels in, and for an up block those of the skips (it takes the last one first).
BLOCKS = {
    "two-levels-fp32": [
        ("unet", "down_blocks.1", 64, []),
        ("unet", "up_blocks.0", 32, [64, 32]),
        ("vae", "decoder.mid_block", 32, []),
    ],
    "three-levels-fp16": [
        ("unet", "down_blocks.1", 32, []),
        ("unet", "up_blocks.0", 32, [64, 32]),
        ("unet", "up_blocks.1", 32, [32, 64]),
        ("vae", "decoder.mid_block", 32, []),
    ],
    "four-levels-bf16": [
        ("unet", "down_blocks.0", 32, []),
        ("unet", "down_blocks.3", 32, []),
        ("unet", "mid_block", 64, []),
        ("unet", "up_blocks.0", 64, [32, 64]),
        ("unet", "up_blocks.2", 32, [32, 32]),
        ("vae", "encoder.down_blocks.0", 64, []),
        ("vae", "encoder.down_blocks.1", 64, []),
        ("vae", "encoder.mid_block", 32, []),
        ("vae", "decoder.up_blocks.0", 32, []),
        ("vae", "decoder.up_blocks.1", 32, []),
    ],
}

# An odd side is halved upwards on the way down, and on the way up doubled to `upsample_size`, the size of the next skip.
VARIANTS = {
    "frames1": {"batch": 1, "frames": 1, "height": 4, "width": 6},
    "frames2": {"batch": 1, "frames": 2, "height": 3, "width": 5},
    "frames14": {"batch": 1, "frames": 14, "height": 2, "width": 3},
    "guided": {"batch": 2, "frames": 2, "height": 2, "width": 4},
}


def make() -> None:
    for checkpoint, blocks in BLOCKS.items():
        pipeline = load_checkpoint(checkpoint)
        for component, path, channels, skips in blocks:
            block = getattr(pipeline, component).get_submodule(path)
            make_block(checkpoint, component, path, block, channels, skips, unet=pipeline.unet)


@torch.no_grad()
def make_block(
    checkpoint: str, component: str, path: str, block: nn.Module, channels: int, skips: list[int], unet: nn.Module
) -> None:
    name = f"{checkpoint}.{component}.{path}"
    generator = generator_of(f"models/{name}")
    tensors, variants = {}, {}
    for variant, size in VARIANTS.items():
        inputs = draw_inputs(generator, component, block, channels, skips, size, unet)
        arguments = {key: value for key, value in inputs.items() if not key.startswith("res_hidden_states.")}
        variants[variant] = dict(size)
        if skips:
            arguments["res_hidden_states_tuple"] = tuple(inputs[f"res_hidden_states.{i}"] for i in range(len(skips)))
            if variant == "frames2" and block.upsamplers is not None:
                arguments["upsample_size"] = (2 * size["height"] - 1, 2 * size["width"] - 1)
                variants[variant]["upsample_size"] = arguments["upsample_size"]
        if not path.startswith("encoder."):
            arguments["image_only_indicator"] = torch.zeros(size["batch"], size["frames"])

        output = block(**arguments)
        outputs = {"hidden_states": output}
        if isinstance(output, tuple):
            # A down block of the UNet also gives its skips, the last of which is its output.
            outputs = {"hidden_states": output[0]} | {f"output_states.{i}": skip for i, skip in enumerate(output[1][:-1])}
        tensors |= prefixed(f"input.{variant}", inputs) | prefixed(f"output.{variant}", outputs)
    save_golden(
        "models",
        name,
        tensors,
        config={"class": type(block).__name__, "checkpoint": checkpoint, "component": component, "path": path},
        case={"variants": variants},
        tolerance=NETWORK,
    )


def draw_inputs(generator, component: str, block: nn.Module, channels: int, skips: list[int], size: dict, unet) -> dict:
    normal = lambda *shape: torch.randn(shape, generator=generator)
    batch, frames, height, width = (size[key] for key in ("batch", "frames", "height", "width"))
    # (batch*frames, channels, height, width)
    inputs = {"hidden_states": normal(batch * frames, channels, height, width)}
    for i, skip in enumerate(skips):
        inputs[f"res_hidden_states.{i}"] = normal(batch * frames, skip, height, width)
    if component == "unet":
        # (batch*frames, time channels), the same for each frame of an item
        temb = normal(batch, 4 * unet.config.block_out_channels[0])
        inputs["temb"] = temb.repeat_interleave(frames, dim=0)
    if getattr(block, "has_cross_attention", False):
        # (batch*frames, 1, context channels), the same for each frame of an item; zero in the unconditional half
        context = normal(batch, 1, block.attentions[0].transformer_blocks[0].attn2.to_k.in_features)
        if batch == 2:
            context[0] = 0
        inputs["encoder_hidden_states"] = context.repeat_interleave(frames, dim=0)
    return inputs
