"""Which tensors does the published SVD checkpoint hold? Names and shapes of its networks, built without any weights."""

import json

import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from .files import TEST_FOLDER

# The config.json of each component of stabilityai/stable-video-diffusion-img2vid; -xt has 25 frames instead of 14.
UNET = {
    "addition_time_embed_dim": 256,
    "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 1024,
    "down_block_types": ["CrossAttnDownBlockSpatioTemporal"] * 3 + ["DownBlockSpatioTemporal"],
    "in_channels": 8,
    "layers_per_block": 2,
    "num_attention_heads": [5, 10, 20, 20],
    "num_frames": 14,
    "out_channels": 4,
    "projection_class_embeddings_input_dim": 768,
    "sample_size": 96,
    "transformer_layers_per_block": 1,
    "up_block_types": ["UpBlockSpatioTemporal"] + ["CrossAttnUpBlockSpatioTemporal"] * 3,
}
VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "force_upcast": True,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "out_channels": 3,
    "sample_size": 768,
    "scaling_factor": 0.18215,
}
IMAGE_ENCODER = {
    "hidden_act": "gelu",
    "hidden_size": 1280,
    "image_size": 224,
    "intermediate_size": 5120,
    "layer_norm_eps": 1e-05,
    "num_attention_heads": 16,
    "num_channels": 3,
    "num_hidden_layers": 32,
    "patch_size": 14,
    "projection_dim": 1024,
}


def make() -> None:
    with torch.device("meta"):
        networks = {
            "unet": (UNET, UNetSpatioTemporalConditionModel(**UNET)),
            "vae": (VAE, AutoencoderKLTemporalDecoder(**VAE)),
            "image_encoder": (IMAGE_ENCODER, CLIPVisionModelWithProjection(CLIPVisionConfig(**IMAGE_ENCODER))),
        }
    listing = {name: {"config": config, "tensors": shapes(model)} for name, (config, model) in networks.items()}
    path = TEST_FOLDER / "models" / "golden" / "published.json"
    path.write_text(json.dumps({"recipe": "reference/golden/published.py", **listing}) + "\n")


def shapes(model) -> dict:
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
