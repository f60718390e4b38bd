"""What does torch give for each operation that a layer is built of? One small file a case."""

import math

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import get_timestep_embedding

from .files import LAYER, generator_of, prefixed, save_golden


def make() -> None:
    convolutions()
    temporal_convolutions()
    norms()
    linears()
    activations()
    attentions()
    resampling()
    timestep_embeddings()


def save(
    name: str,
    config: dict,
    *,
    inputs: dict,
    weights: dict | None = None,
    output: torch.Tensor,
    tolerance: dict = LAYER,
) -> None:
    tensors = {**prefixed("input", inputs), **prefixed("weights", weights or {}), "output.y": output}
    save_golden("lowering", name, tensors, config=config, tolerance=tolerance)


def normal(name: str):
    """A function that draws the case's next tensor: normal(*shape, std=1, mean=0)."""
    generator = generator_of(f"ops/{name}")

    def draw(*shape: int, std: float = 1.0, mean: float = 0.0) -> torch.Tensor:
        return mean + std * torch.randn(shape, generator=generator)

    return draw


def convolutions() -> None:
    cases = {
        "conv2d-3x3": {"kernel": 3, "stride": 1, "padding": [1, 1, 1, 1]},
        "conv2d-3x3-stride2": {"kernel": 3, "stride": 2, "padding": [1, 1, 1, 1]},
        # Padding is left, right, top, bottom: only right and bottom, as in the VAE encoder's downsamplers.
        "conv2d-3x3-stride2-asymmetric": {"kernel": 3, "stride": 2, "padding": [0, 1, 0, 1]},
        "conv2d-1x1": {"kernel": 1, "stride": 1, "padding": [0, 0, 0, 0]},
        "conv2d-patches": {"kernel": 7, "stride": 7, "padding": [0, 0, 0, 0], "bias": False},
    }
    for name, config in cases.items():
        draw = normal(name)
        kernel = config["kernel"]
        channels, out_channels = 6, 10
        height, width = (24, 17) if name == "conv2d-patches" else (7, 10)
        x = draw(3, channels, height, width)
        weight = draw(out_channels, channels, kernel, kernel, std=1 / (kernel * math.sqrt(channels)))
        weights = {"weight": weight, "bias": draw(out_channels, std=0.3)} if config.get("bias", True) else {"weight": weight}
        y = F.conv2d(F.pad(x, config["padding"]), weight, weights.get("bias"), stride=config["stride"])
        save(name, {"op": "conv2d", **config}, inputs={"x": x}, weights=weights, output=y)


def temporal_convolutions() -> None:
    """x and y are (batch, channels, frames, height, width); the kernel is (3, 1, 1), padding 1 frame of zeros each side."""
    for frames in (1, 2, 14):
        name = f"temporal-conv-{frames}-frames"
        draw = normal(name)
        x, weight, bias = draw(2, 6, frames, 3, 5), draw(8, 6, 3, 1, 1, std=0.25), draw(8, std=0.3)
        y = F.conv3d(x, weight, bias, padding=(1, 0, 0))
        save(name, {"op": "temporalConv"}, inputs={"x": x}, weights={"weight": weight, "bias": bias}, output=y)


def norms() -> None:
    group_cases = {
        "group-norm-eps-1e-5": {"groups": 32, "eps": 1e-5},
        "group-norm-eps-1e-6": {"groups": 8, "eps": 1e-6},
        "group-norm-small-variance": {"groups": 8, "eps": 1e-5, "std": 0.003},
        "group-norm-large-mean": {"groups": 8, "eps": 1e-6, "mean": 30.0},
    }
    for name, config in group_cases.items():
        draw = normal(name)
        channels = 64 if config["groups"] == 32 else 24
        x = draw(2, channels, 5, 6, std=config.get("std", 1.0), mean=config.get("mean", 0.0))
        weights = {"weight": draw(channels, std=0.3, mean=1.0), "bias": draw(channels, std=0.3)}
        y = F.group_norm(x, config["groups"], weights["weight"], weights["bias"], config["eps"])
        save(name, {"op": "groupNorm", **config}, inputs={"x": x}, weights=weights, output=y)

    # Over (frames, height, width) together, as in the temporal blocks: x is (batch, channels, frames, height, width).
    name = "group-norm-over-frames"
    draw = normal(name)
    x, weights = draw(2, 64, 3, 4, 5, mean=0.5), {"weight": draw(64, std=0.3, mean=1.0), "bias": draw(64, std=0.3)}
    y = F.group_norm(x, 32, weights["weight"], weights["bias"], 1e-5)
    save(name, {"op": "groupNorm", "groups": 32, "eps": 1e-5}, inputs={"x": x}, weights=weights, output=y)

    for name, eps, mean in (("layer-norm", 1e-5, 0.0), ("layer-norm-eps-1e-6-large-mean", 1e-6, 30.0)):
        draw = normal(name)
        x, weights = draw(2, 7, 24, mean=mean), {"weight": draw(24, std=0.3, mean=1.0), "bias": draw(24, std=0.3)}
        y = F.layer_norm(x, (24,), weights["weight"], weights["bias"], eps)
        save(name, {"op": "layerNorm", "eps": eps, "mean": mean}, inputs={"x": x}, weights=weights, output=y)


def linears() -> None:
    for name, has_bias in (("linear", True), ("linear-no-bias", False)):
        draw = normal(name)
        x, weights = draw(2, 5, 24), {"weight": draw(40, 24, std=0.2)}
        if has_bias:
            weights["bias"] = draw(40, std=0.3)
        y = F.linear(x, weights["weight"], weights.get("bias"))
        save(name, {"op": "linear"}, inputs={"x": x}, weights=weights, output=y)


def activations() -> None:
    functions = {
        "silu": F.silu,
        "gelu": F.gelu,
        "quick-gelu": lambda x: x * torch.sigmoid(1.702 * x),
        "sigmoid": torch.sigmoid,
    }
    # The ends, the middle and everything between: sigmoid must not overflow at -100.
    line = torch.cat([torch.linspace(-12, 12, 481), torch.tensor([-100.0, -30.0, -0.0, 1e-8, 30.0, 100.0])])
    for name, function in functions.items():
        save(name, {"op": name}, inputs={"x": line}, output=function(line))

    name = "geglu"
    draw = normal(name)
    x, weights = draw(2, 5, 24), {"proj.weight": draw(64, 24, std=0.3), "proj.bias": draw(64, std=0.3)}
    # The first half of the columns is the value, the second half the gate.
    value, gate = F.linear(x, weights["proj.weight"], weights["proj.bias"]).chunk(2, dim=-1)
    save(name, {"op": "geglu"}, inputs={"x": x}, weights=weights, output=value * F.gelu(gate))


def attentions() -> None:
    """q (batch, tokens, heads*size), k and v (batch, keys, heads*size); y (batch, tokens, heads*size); scale 1/sqrt(size)."""
    cases = {
        "attention-4-heads": {"batch": 3, "tokens": 15, "keys": 15, "heads": 4, "size": 8},
        "attention-1-key": {"batch": 3, "tokens": 15, "keys": 1, "heads": 2, "size": 16},
        "attention-1-token": {"batch": 40, "tokens": 1, "keys": 1, "heads": 2, "size": 16},
        "attention-14-frames": {"batch": 6, "tokens": 14, "keys": 14, "heads": 2, "size": 16},
        "attention-head-size-512": {"batch": 2, "tokens": 6, "keys": 6, "heads": 1, "size": 512},
        "attention-large-logits": {"batch": 2, "tokens": 12, "keys": 12, "heads": 2, "size": 16, "std": 6.0},
    }
    for name, config in cases.items():
        draw = normal(name)
        batch, tokens, keys, heads, size = (config[key] for key in ("batch", "tokens", "keys", "heads", "size"))
        std = config.get("std", 1.0)
        q, k = draw(batch, tokens, heads * size, std=std), draw(batch, keys, heads * size, std=std)
        v = draw(batch, keys, heads * size)
        split = lambda x: x.unflatten(2, (heads, size)).transpose(1, 2)  # (batch, heads, tokens, size)
        y = F.scaled_dot_product_attention(split(q), split(k), split(v)).transpose(1, 2).flatten(2)
        save(name, {"op": "attention", **config}, inputs={"q": q, "k": k, "v": v}, output=y)


def resampling() -> None:
    name = "upsample-nearest-2x"
    x = normal(name)(2, 6, 3, 5)
    save(name, {"op": "upsampleNearest", "scale": 2}, inputs={"x": x}, output=F.interpolate(x, scale_factor=2.0, mode="nearest"))

    # The size of a skip connection whose side was odd.
    name = "upsample-nearest-to-size"
    x = normal(name)(2, 6, 4, 5)
    y = F.interpolate(x, size=(7, 9), mode="nearest")
    save(name, {"op": "upsampleNearest", "size": [7, 9]}, inputs={"x": x}, output=y)


def timestep_embeddings() -> None:
    """Sinusoids with the cosines first (flip_sin_to_cos), no frequency shift.

    The reference multiplies time and frequency in fp32, so at time 999 its own angles are wrong by up to 6e-5.
    """
    times = {
        "timestep-embedding-continuous": ([1.6378, -1.5536, 0.0, 0.25], 1e-6),
        "timestep-embedding-frames": (list(range(14)), 1e-5),
        "timestep-embedding-ids": ([6.0, 127.0, 0.02, 0.0, 255.0, 1.0], 2e-5),
        "timestep-embedding-discrete": ([999.0, 500.5, 1.0], 1e-4),
    }
    for name, (values, error) in times.items():
        for width in (32, 320):
            x = torch.tensor(values, dtype=torch.float32)
            y = get_timestep_embedding(x, width, flip_sin_to_cos=True, downscale_freq_shift=0)
            config = {"op": "timestepEmbedding", "width": width}
            save(f"{name}-{width}", config, inputs={"x": x}, output=y, tolerance={"relative": error, "absolute": 0})
