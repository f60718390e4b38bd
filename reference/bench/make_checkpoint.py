"""Which checkpoint does the bench run? SVD-XT as published, in fp16, with random weights.

`python -m reference.bench.make_checkpoint FOLDER` writes a checkpoint in diffusers layout (4.5 GB, always the same bytes),
one tensor after the other. `model_index.json` comes last: a folder that has it is complete.
"""

import json
import struct
import sys
from pathlib import Path

import numpy
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from ..golden.checkpoints import PUBLISHED_SCHEDULER
from ..golden.published import IMAGE_ENCODER, UNET, VAE

SVD_XT_UNET = {**UNET, "num_frames": 25}

FEATURE_EXTRACTOR = {
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "CLIPImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 224},
}

MODEL_INDEX = {
    "_class_name": "StableVideoDiffusionPipeline",
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "unet": ["diffusers", "UNetSpatioTemporalConditionModel"],
    "vae": ["diffusers", "AutoencoderKLTemporalDecoder"],
}


def main() -> None:
    folder = Path(sys.argv[1])
    with init_empty_weights():
        unet = UNetSpatioTemporalConditionModel.from_config(SVD_XT_UNET)
        vae = AutoencoderKLTemporalDecoder.from_config(VAE)
        image_encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**IMAGE_ENCODER))
    write_network(folder / "unet", "diffusion_pytorch_model", unet, SVD_XT_UNET, seed=0)
    write_network(folder / "vae", "diffusion_pytorch_model", vae, VAE, seed=1)
    write_network(folder / "image_encoder", "model", image_encoder, {**IMAGE_ENCODER, "model_type": "clip_vision_model"}, seed=2)
    write_json(folder / "scheduler" / "scheduler_config.json", {"_class_name": "EulerDiscreteScheduler", **PUBLISHED_SCHEDULER})
    write_json(folder / "feature_extractor" / "preprocessor_config.json", FEATURE_EXTRACTOR)
    write_json(folder / "model_index.json", MODEL_INDEX)


def write_network(folder: Path, file_name: str, model: torch.nn.Module, config: dict, *, seed: int) -> None:
    """Writes FOLDER/config.json and FOLDER/FILE_NAME.fp16.safetensors."""
    norms = {name for name, module in model.named_modules() if isinstance(module, (torch.nn.GroupNorm, torch.nn.LayerNorm))}
    shapes = {name: parameter.shape for name, parameter in sorted(model.named_parameters())}

    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        end = offset + 2 * shape.numel()
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    header_bytes = json.dumps(header).encode()
    header_bytes += b" " * (-len(header_bytes) % 8)

    generator = numpy.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / "unfinished"
    with unfinished.open("wb") as file:
        file.write(struct.pack("<Q", len(header_bytes)) + header_bytes)
        for name, shape in shapes.items():
            is_norm = name.rsplit(".", 1)[0] in norms
            file.write(random_weight(name, shape, is_norm, generator).astype("<f2").tobytes())
    unfinished.rename(folder / f"{file_name}.fp16.safetensors")
    write_json(folder / "config.json", {"_class_name": type(model).__name__, **config})


def random_weight(name: str, shape: torch.Size, is_norm: bool, generator: numpy.random.Generator) -> numpy.ndarray:
    """Scaled so that a signal keeps a standard deviation of about 1; no norm is the identity, no weight is zero."""
    noise = generator.standard_normal(tuple(shape), dtype=numpy.float32)
    if name.endswith("mix_factor"):
        return noise + 1
    if is_norm:
        return 1 + 0.1 * noise if name.endswith("weight") else 0.1 * noise
    if name.endswith("bias"):
        return 0.1 * noise
    weight = noise / numpy.sqrt(numpy.prod(shape[1:]), dtype=numpy.float32)
    # Frames lie in [-1, 1]: what the decoder gives should rarely have to be clamped.
    return 0.3 * weight if name == "decoder.time_conv_out.weight" else weight


def write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
