"""Which checkpoint does the bench run? The published SVD-XT UNet configuration with random weights, in fp16.

`python -m reference.bench.make_checkpoint FOLDER` writes FOLDER/config.json and
FOLDER/diffusion_pytorch_model.fp16.safetensors (1.5 billion parameters, 3 GB), one tensor after the other.
"""

import json
import struct
import sys
from pathlib import Path

import numpy
import torch
from accelerate import init_empty_weights
from diffusers import UNetSpatioTemporalConditionModel

# https://huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt unet/config.json
SVD_XT = {
    "in_channels": 8,
    "out_channels": 4,
    "down_block_types": [*["CrossAttnDownBlockSpatioTemporal"] * 3, "DownBlockSpatioTemporal"],
    "up_block_types": ["UpBlockSpatioTemporal", *["CrossAttnUpBlockSpatioTemporal"] * 3],
    "block_out_channels": [320, 640, 1280, 1280],
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 768,
    "layers_per_block": 2,
    "cross_attention_dim": 1024,
    "transformer_layers_per_block": 1,
    "num_attention_heads": [5, 10, 20, 20],
    "num_frames": 25,
    "sample_size": 96,
}
SEED = 0


def random_weight(name: str, shape: torch.Size, is_norm: bool, generator: numpy.random.Generator) -> numpy.ndarray:
    """Scaled so that a signal keeps a standard deviation of about 1; no norm is the identity, no weight is zero."""
    noise = generator.standard_normal(tuple(shape), dtype=numpy.float32)
    if name.endswith("mix_factor"):
        return noise + 1
    if is_norm:
        return 1 + 0.1 * noise if name.endswith("weight") else 0.1 * noise
    if name.endswith("bias"):
        return 0.1 * noise
    return noise / numpy.sqrt(numpy.prod(shape[1:]), dtype=numpy.float32)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with init_empty_weights():
        model = UNetSpatioTemporalConditionModel.from_config(SVD_XT)
    norms = tuple(name for name, module in model.named_modules() if isinstance(module, (torch.nn.GroupNorm, torch.nn.LayerNorm)))
    shapes = {name: parameter.shape for name, parameter in sorted(model.named_parameters())}

    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        end = offset + 2 * shape.numel()
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    header_bytes = json.dumps(header).encode()
    header_bytes += b" " * (-len(header_bytes) % 8)

    generator = numpy.random.default_rng(SEED)
    norm_names = set(norms)
    unfinished = folder / "unfinished"
    with unfinished.open("wb") as file:
        file.write(struct.pack("<Q", len(header_bytes)) + header_bytes)
        for name, shape in shapes.items():
            is_norm = name.rsplit(".", 1)[0] in norm_names
            file.write(random_weight(name, shape, is_norm, generator).astype("<f2").tobytes())
    unfinished.rename(folder / "diffusion_pytorch_model.fp16.safetensors")
    config = {"_class_name": "UNetSpatioTemporalConditionModel", **SVD_XT}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
