"""What are the numbers of the 8-bit formats, and what does the UNet give with weights that were stored in them?

The weights are brought to 8 bits and back to fp32, as diffusers does that loads such a file. `scaled` is how ComfyUI's files
hold the weights of linear layers and convolutions: divided by a scale for each, so that the largest is 448.
"""

import torch

from .checkpoints import load_checkpoint
from .files import NETWORK, TEST_FOLDER, generator_of, prefixed, save_golden

CHECKPOINT = "two-levels-fp32"
FRAMES, HEIGHT, WIDTH = 3, 6, 8
LARGEST = 448.0


def make() -> None:
    generator = generator_of("float8/float8")
    normal = lambda *shape: torch.randn(shape, generator=generator)
    image = normal(1, 1, 4, HEIGHT, WIDTH).expand(-1, FRAMES, -1, -1, -1)
    unet = load_checkpoint(CHECKPOINT).unet
    inputs = {
        "sample": torch.cat([normal(1, FRAMES, 4, HEIGHT, WIDTH), image], dim=2),
        "timestep": torch.tensor(1.2),
        "encoder_hidden_states": normal(1, 1, unet.config.cross_attention_dim),
        "added_time_ids": torch.tensor([[6.0, 127.0, 0.02]]),
    }
    tensors = prefixed("input", inputs)
    every_byte = torch.arange(256, dtype=torch.uint8)
    for name in ("float8_e4m3fn", "float8_e5m2"):
        dtype = getattr(torch, name)
        tensors[f"output.{name}.values"] = every_byte.view(dtype).float()
        tensors[f"output.{name}.sample"] = sample(inputs, lambda _, weight: weight.to(dtype).float())
    tensors["output.scaled.sample"] = sample(inputs, scaled)
    save_golden(
        "float8",
        "float8",
        tensors,
        config={"checkpoint": CHECKPOINT},
        case={"formats": ["float8_e4m3fn", "float8_e5m2", "scaled"]},
        tolerance=NETWORK,
        folder=TEST_FOLDER / "weights" / "golden",
    )


def scaled(name: str, weight: torch.Tensor) -> torch.Tensor:
    if not name.endswith(".weight") or weight.dim() < 2:
        return weight
    scale = weight.abs().max() / LARGEST
    return (weight / scale).to(torch.float8_e4m3fn).float() * scale


def sample(inputs: dict[str, torch.Tensor], change) -> torch.Tensor:
    unet = load_checkpoint(CHECKPOINT).unet.eval()
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            parameter.copy_(change(name, parameter))
        return unet(**inputs).sample
