"""What does each whole network of the test checkpoints give, with its stored weights upcast to fp32?"""

import torch

from .checkpoints import CHECKPOINTS, load_checkpoint
from .files import NETWORK, generator_of, prefixed, save_golden

# Batch items, frames an item, height and width of the latent. `odd` cannot be halved as often as the UNet does it.
UNET_VARIANTS = {
    "two-levels-fp32": {
        "frames1": {"batch": 1, "frames": 1, "height": 6, "width": 10},
        "frames2": {"batch": 1, "frames": 2, "height": 6, "width": 10},
        "frames14": {"batch": 1, "frames": 14, "height": 6, "width": 8},
        "guided": {"batch": 2, "frames": 3, "height": 6, "width": 10},
        "odd": {"batch": 1, "frames": 2, "height": 7, "width": 9},
    },
    "three-levels-fp16": {
        "frames1": {"batch": 1, "frames": 1, "height": 8, "width": 12},
        "frames14": {"batch": 1, "frames": 14, "height": 8, "width": 8},
        "guided": {"batch": 2, "frames": 5, "height": 8, "width": 12},
        "odd": {"batch": 2, "frames": 2, "height": 9, "width": 13},
    },
    "four-levels-bf16": {
        "frames2": {"batch": 1, "frames": 2, "height": 16, "width": 24},
        "guided": {"batch": 2, "frames": 4, "height": 16, "width": 24},
        "odd": {"batch": 1, "frames": 3, "height": 21, "width": 18},
    },
}

# Timesteps as the checkpoint's scheduler gives them: 0.25 ln(sigma), or an index into the 1000 training steps.
TIMESTEPS = {"two-levels-fp32": [1.6378, -1.5536], "three-levels-fp16": [1.0955, -1.1513], "four-levels-bf16": [999.0, 12.5]}

# Height and width of the pictures that the VAE encodes, of the latents that it decodes, and how many frames at a time.
ENCODED = {"two-levels-fp32": (40, 56), "three-levels-fp16": (48, 64), "four-levels-bf16": (24, 40)}
DECODED = {"two-levels-fp32": (5, 8), "three-levels-fp16": (3, 4), "four-levels-bf16": (12, 10)}
DECODED_FRAMES = [1, 2, 5]


def make() -> None:
    for name in CHECKPOINTS:
        pipeline = load_checkpoint(name)
        with torch.no_grad():
            image_encoder(name, pipeline.image_encoder)
            vae_encoder(name, pipeline.vae)
            vae_decoder(name, pipeline.vae)
            unet(name, pipeline.unet)


def save(checkpoint: str, network: str, component: str, tensors: dict, case: dict) -> None:
    config = {"checkpoint": checkpoint, "component": component, "network": network}
    save_golden("models", f"{checkpoint}.{network}", tensors, config=config, case=case, tolerance=NETWORK)


def image_encoder(checkpoint: str, model) -> None:
    """The pixel values are stored as 32x32; each value stands for 7x7 pixels of the 224x224 that the network sees."""
    generator = generator_of(f"models/{checkpoint}.image-encoder")
    small = torch.randn(2, 3, 32, 32, generator=generator)
    pixel_values = small.repeat_interleave(7, dim=2).repeat_interleave(7, dim=3)
    output = model(pixel_values)
    tensors = {"input.pixel_values_32x32": small, "output.image_embeds": output.image_embeds}
    save(checkpoint, "image-encoder", "image_encoder", tensors, {"pixel_values": "each value of the 32x32 repeated 7x7"})


def vae_encoder(checkpoint: str, vae) -> None:
    generator = generator_of(f"models/{checkpoint}.vae-encoder")
    height, width = ENCODED[checkpoint]
    tensors = {}
    for variant, items in (("one", 1), ("two", 2)):
        image = torch.rand(items, 3, height, width, generator=generator) * 2 - 1
        tensors[f"input.{variant}.image"] = image
        # Not multiplied with the scaling factor.
        tensors[f"output.{variant}.latents"] = vae.encode(image).latent_dist.mode()
    save(checkpoint, "vae-encoder", "vae", tensors, {"variants": ["one", "two"]})


def vae_decoder(checkpoint: str, vae) -> None:
    generator = generator_of(f"models/{checkpoint}.vae-decoder")
    height, width = DECODED[checkpoint]
    tensors = {}
    for frames in DECODED_FRAMES:
        # As the pipeline hands them over, already divided by the scaling factor.
        latents = torch.randn(frames, 4, height, width, generator=generator) / vae.config.scaling_factor
        tensors[f"input.frames{frames}.latents"] = latents
        tensors[f"output.frames{frames}.frames"] = vae.decode(latents, num_frames=frames).sample
    variants = {f"frames{frames}": {"num_frames": frames} for frames in DECODED_FRAMES}
    save(checkpoint, "vae-temporal-decoder", "vae", tensors, {"variants": variants})


def unet(checkpoint: str, model) -> None:
    generator = generator_of(f"models/{checkpoint}.unet")
    normal = lambda *shape: torch.randn(shape, generator=generator)
    tensors = {}
    for index, (variant, size) in enumerate(UNET_VARIANTS[checkpoint].items()):
        batch, frames, height, width = size.values()
        # As in the pipeline, the image's latents are the same for every frame.
        image_latents = normal(batch, 1, 4, height, width).expand(-1, frames, -1, -1, -1)
        inputs = {
            "sample": torch.cat([normal(batch, frames, 4, height, width), image_latents], dim=2),
            "timestep": torch.tensor(TIMESTEPS[checkpoint][index % 2]),
            "encoder_hidden_states": normal(batch, 1, context_width(model)),
            "added_time_ids": torch.tensor([[6.0, 127.0, 0.02], [11.0, 40.0, 0.1]])[:batch],
        }
        if variant == "guided":
            inputs["encoder_hidden_states"][0] = 0
            inputs["sample"][0, :, 4:] = 0
        tensors |= prefixed(f"input.{variant}", inputs) | {f"output.{variant}.sample": model(**inputs).sample}
    save(checkpoint, "unet", "unet", tensors, {"variants": UNET_VARIANTS[checkpoint]})


def context_width(model) -> int:
    width = model.config.cross_attention_dim
    return width if isinstance(width, int) else width[0]
