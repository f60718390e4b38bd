"""What are the small checkpoints of the tests? Three, in the published layout, which agree in nothing they need not agree in."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy
import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from .files import TEST_FOLDER, generator_of
from .pictures import landscape
from .weights import randomize, scale_output

CHECKPOINT_FOLDER = TEST_FOLDER / "checkpoints"

CROSS_DOWN, PLAIN_DOWN = "CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"
CROSS_UP, PLAIN_UP = "CrossAttnUpBlockSpatioTemporal", "UpBlockSpatioTemporal"

# The scheduler config of the published SVD checkpoints.
PUBLISHED_SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "sigma_max": 700.0,
    "sigma_min": 0.002,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "trained_betas": None,
    "use_karras_sigmas": True,
}

# Diffusers norms in 32 groups. Where a level is 32 wide a group is one channel, and the norm takes away what was added to
# the whole channel: time embedding and biases. So each UNet has a level of 64, each in another place.
CHECKPOINTS = {
    "two-levels-fp32": {
        "dtype": torch.float32,
        "variant": None,
        "unet_shard_size": None,
        "unet": {
            "sample_size": 12,
            "down_block_types": (PLAIN_DOWN, CROSS_DOWN),
            "up_block_types": (CROSS_UP, PLAIN_UP),
            "block_out_channels": (64, 32),
            "addition_time_embed_dim": 24,
            "projection_class_embeddings_input_dim": 72,
            "layers_per_block": 1,
            "cross_attention_dim": 40,
            "transformer_layers_per_block": 1,
            "num_attention_heads": (2, 4),
            "num_frames": 3,
        },
        "vae": {
            "down_block_types": ("DownEncoderBlock2D",) * 3,
            "block_out_channels": (32, 32, 32),
            "layers_per_block": 1,
            "latent_channels": 4,
            "sample_size": 48,
            "scaling_factor": 0.18215,
            "force_upcast": True,
        },
        "image_encoder": {
            "hidden_size": 32,
            "intermediate_size": 80,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "patch_size": 28,
            "projection_dim": 40,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-5,
        },
        "scheduler": PUBLISHED_SCHEDULER,
    },
    "three-levels-fp16": {
        "dtype": torch.float16,
        "variant": "fp16",
        "unet_shard_size": "2MB",
        "unet": {
            "sample_size": 8,
            "down_block_types": (PLAIN_DOWN, CROSS_DOWN, PLAIN_DOWN),
            "up_block_types": (PLAIN_UP, CROSS_UP, PLAIN_UP),
            "block_out_channels": (32, 64, 32),
            "addition_time_embed_dim": 32,
            "projection_class_embeddings_input_dim": 96,
            "layers_per_block": 1,
            "cross_attention_dim": 56,
            "transformer_layers_per_block": (3, 1, 2),
            "num_attention_heads": (1, 4, 2),
            "num_frames": 5,
        },
        "vae": {
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "block_out_channels": (32, 32, 32, 32),
            "layers_per_block": 2,
            "latent_channels": 4,
            "sample_size": 64,
            "scaling_factor": 0.13025,
            "force_upcast": True,
        },
        "image_encoder": {
            "hidden_size": 48,
            "intermediate_size": 128,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "patch_size": 16,
            "projection_dim": 56,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": 1e-6,
        },
        "scheduler": {
            **PUBLISHED_SCHEDULER,
            "sigma_min": 0.01,
            "sigma_max": 80.0,
            "timestep_spacing": "linspace",
            "steps_offset": 0,
        },
    },
    "four-levels-bf16": {
        "dtype": torch.bfloat16,
        "variant": None,
        "unet_shard_size": None,
        "unet": {
            "sample_size": 24,
            "down_block_types": (PLAIN_DOWN, CROSS_DOWN, PLAIN_DOWN, PLAIN_DOWN),
            "up_block_types": (PLAIN_UP, PLAIN_UP, CROSS_UP, PLAIN_UP),
            "block_out_channels": (32, 32, 32, 64),
            "addition_time_embed_dim": 48,
            "projection_class_embeddings_input_dim": 144,
            "layers_per_block": (2, 1, 1, 1),
            "cross_attention_dim": (32, 32, 32, 32),
            "transformer_layers_per_block": (1, 2, 1, 1),
            "num_attention_heads": (4, 2, 1, 8),
            "num_frames": 4,
        },
        "vae": {
            "down_block_types": ("DownEncoderBlock2D",) * 2,
            "block_out_channels": (64, 32),
            "layers_per_block": 1,
            "latent_channels": 4,
            "sample_size": 32,
            "scaling_factor": 0.5,
            "force_upcast": False,
        },
        "image_encoder": {
            "hidden_size": 40,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 5,
            "patch_size": 14,
            "projection_dim": 32,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-5,
        },
        "scheduler": {
            **PUBLISHED_SCHEDULER,
            "prediction_type": "epsilon",
            "sigma_min": 0.03,
            "sigma_max": 14.6,
        },
    },
}


def load_checkpoint(name: str) -> StableVideoDiffusionPipeline:
    """The pipeline of a saved checkpoint with its stored weights upcast to fp32."""
    return StableVideoDiffusionPipeline.from_pretrained(
        CHECKPOINT_FOLDER / name, variant=CHECKPOINTS[name]["variant"], dtype=torch.float32
    )


def make() -> None:
    for name in CHECKPOINTS:
        make_checkpoint(name)


def make_checkpoint(name: str) -> None:
    spec = CHECKPOINTS[name]
    generator = generator_of(f"checkpoints/{name}")
    unet = randomize(UNetSpatioTemporalConditionModel(**spec["unet"]), generator)
    vae = randomize(AutoencoderKLTemporalDecoder(**spec["vae"]), generator)
    image_encoder = randomize(CLIPVisionModelWithProjection(CLIPVisionConfig(**spec["image_encoder"])), generator)
    calibrate(unet, vae, image_encoder, generator)

    pipeline = StableVideoDiffusionPipeline(
        vae=vae.to(spec["dtype"]),
        image_encoder=image_encoder.to(spec["dtype"]),
        unet=unet.to(spec["dtype"]),
        scheduler=EulerDiscreteScheduler(**spec["scheduler"]),
        feature_extractor=CLIPImageProcessor(),
    )
    with tempfile.TemporaryDirectory() as unfinished:
        pipeline.save_pretrained(unfinished, variant=spec["variant"])
        if spec["unet_shard_size"]:
            shutil.rmtree(Path(unfinished, "unet"))
            unet.save_pretrained(Path(unfinished, "unet"), variant=spec["variant"], max_shard_size=spec["unet_shard_size"])
        publish(Path(unfinished))
        # copyfile leaves the narrow permissions of temporary files behind.
        replacement = CHECKPOINT_FOLDER / f".{name}.unfinished"
        shutil.rmtree(replacement, ignore_errors=True)
        shutil.copytree(unfinished, replacement, copy_function=shutil.copyfile)
        replacement.chmod(0o755)
        shutil.rmtree(CHECKPOINT_FOLDER / name, ignore_errors=True)
        replacement.rename(CHECKPOINT_FOLDER / name)


@torch.no_grad()
def calibrate(unet, vae, image_encoder, generator: torch.Generator) -> None:
    """Scales each network's last layer so that what it gives has the size that a trained one gives."""
    pixels = torch.from_numpy(numpy.array(landscape(64, 48))).permute(2, 0, 1)[None] / 127.5 - 1
    scale_output(vae.quant_conv, vae.encode(pixels).latent_dist.mode(), std=1.0)

    frames = 3
    latents = torch.randn(frames, 4, 16, 24, generator=generator) / vae.config.scaling_factor
    scale_output(vae.decoder.time_conv_out, vae.decode(latents, num_frames=frames).sample, std=0.5)

    # Any picture will do that has the statistics of normalised pixel values.
    scale_output(
        image_encoder.visual_projection,
        image_encoder(torch.randn(1, 3, 224, 224, generator=generator)).image_embeds,
        std=1.0,
    )

    sample = torch.randn(2, frames, 8, 16, 24, generator=generator)
    context = torch.randn(2, 1, image_encoder.config.projection_dim, generator=generator)
    added_time_ids = torch.tensor([[6.0, 127.0, 0.02]]).repeat(2, 1)
    scale_output(unet.conv_out, unet(sample, torch.tensor(1.2), context, added_time_ids).sample, std=1.0)


def publish(folder: Path) -> None:
    """Writes the JSON files as the published checkpoints have them, whatever machine they were saved on."""
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text())
        content.pop("_name_or_path", None)
        if path.name == "model_index.json":
            # Without torchvision transformers names its Pillow backend, a class that no published checkpoint names.
            content["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
        path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
