"""What does each layer and block class of diffusers and transformers give? The weights are in the file, as in its state dict."""

import torch
from diffusers.models.attention import BasicTransformerBlock, FeedForward, TemporalBasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import AlphaBlender, ResnetBlock2D, SpatioTemporalResBlock, TemporalResnetBlock
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from diffusers.models.unets.unet_3d_blocks import MidBlockTemporalDecoder
from diffusers.models.upsampling import Upsample2D
from torch import nn
from transformers import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPEncoderLayer, CLIPVisionEmbeddings

from .files import LAYER, NETWORK, generator_of, prefixed, save_golden
from .weights import randomize, round_to

# Frames in one batch item, and how many batch items: `two-items` is a guided batch, unconditional half first.
VARIANTS = {
    "frames1": {"batch": 1, "frames": 1},
    "frames2": {"batch": 1, "frames": 2},
    "frames14": {"batch": 1, "frames": 14},
    "guided": {"batch": 2, "frames": 3},
}


def small_size(frames: int) -> tuple[int, int]:
    """Height and width of a feature map: smaller where there are many frames."""
    return (2, 3) if frames > 3 else (3, 5)


def make() -> None:
    resnets()
    spatio_temporal_resnets()
    samplers()
    embeddings()
    attentions()
    feed_forwards()
    blenders()
    transformers()
    decoder_mid_block()
    clip_layers()


class Case:
    """One golden file being filled: draws its inputs from its own generator, then saves them with the module's weights.

    Larger weights are stored as fp16, values that the fp32 module holds exactly.
    """

    def __init__(self, name: str, module: nn.Module, config: dict, tolerance=LAYER):
        self.name, self.config, self.tolerance = name, {"class": type(module).__name__, **config}, tolerance
        self.generator = generator_of(f"models/{name}")
        is_large = sum(parameter.numel() for parameter in module.parameters()) > 8000
        weights_dtype = torch.float16 if is_large else torch.float32
        self.module = round_to(randomize(module, self.generator), weights_dtype)
        self.tensors = prefixed("weights", {k: v.to(weights_dtype) for k, v in module.state_dict().items()})
        self.case: dict = {}

    def normal(self, *shape: int, std: float = 1.0) -> torch.Tensor:
        return std * torch.randn(shape, generator=self.generator)

    def add(self, inputs: dict, output: torch.Tensor, variant: str | None = None) -> None:
        infix = f".{variant}" if variant else ""
        self.tensors |= prefixed(f"input{infix}", inputs) | {f"output{infix}.hidden_states": output}
        if variant:
            self.case.setdefault("variants", {})[variant] = VARIANTS[variant]

    def save(self) -> None:
        save_golden("models", self.name, self.tensors, config=self.config, case=self.case, tolerance=self.tolerance)


def image_only(batch: int, frames: int) -> torch.Tensor:
    """The indicator of video frames: never an image alone."""
    return torch.zeros(batch, frames)


def resnets() -> None:
    cases = {
        "resnet-block-2d": {"in_channels": 64, "out_channels": 64, "temb_channels": 48, "eps": 1e-5},
        "resnet-block-2d-shortcut": {"in_channels": 32, "out_channels": 64, "temb_channels": 48, "eps": 1e-6},
        "resnet-block-2d-no-time": {"in_channels": 64, "out_channels": 64, "temb_channels": None, "eps": 1e-6},
        "resnet-block-2d-no-time-shortcut": {"in_channels": 32, "out_channels": 64, "temb_channels": None, "eps": 1e-6},
    }
    for name, config in cases.items():
        case = Case(name, ResnetBlock2D(**config), config)
        x = case.normal(2, config["in_channels"], 4, 7)
        if config["temb_channels"] is None:
            case.add({"hidden_states": x}, case.module(x, None))
        else:
            temb = case.normal(2, config["temb_channels"])
            case.add({"hidden_states": x, "temb": temb}, case.module(x, temb))
        case.save()

    config = {"in_channels": 64, "out_channels": 64, "temb_channels": 48, "eps": 1e-5}
    case = Case("temporal-resnet-block", TemporalResnetBlock(**config), config, NETWORK)
    for frames in (1, 2, 14):
        # (batch, channels, frames, height, width) and (batch, frames, temb channels)
        x, temb = case.normal(1, 64, frames, *small_size(frames)), case.normal(1, frames, 48)
        case.add({"hidden_states": x, "temb": temb}, case.module(x, temb), f"frames{frames}")
    case.save()


def spatio_temporal_resnets() -> None:
    decoder = {"temb_channels": None, "eps": 1e-6, "temporal_eps": 1e-5, "merge_factor": 0.0}
    decoder |= {"merge_strategy": "learned", "switch_spatial_to_temporal_mix": True}
    cases = {
        "spatio-temporal-res-block": {"in_channels": 64, "out_channels": 64, "temb_channels": 48, "eps": 1e-5},
        "spatio-temporal-res-block-shortcut": {"in_channels": 32, "out_channels": 64, "temb_channels": 48, "eps": 1e-6},
        "spatio-temporal-res-block-decoder": {"in_channels": 64, "out_channels": 64, **decoder},
        "spatio-temporal-res-block-decoder-shortcut": {"in_channels": 32, "out_channels": 64, **decoder},
    }
    for name, config in cases.items():
        case = Case(name, SpatioTemporalResBlock(**config), config, NETWORK)
        for variant, size in VARIANTS.items():
            items = size["batch"] * size["frames"]
            inputs = {"hidden_states": case.normal(items, config["in_channels"], *small_size(size["frames"]))}
            if config["temb_channels"]:
                # The same for every frame of an item, as in the UNet.
                inputs["temb"] = case.normal(size["batch"], 48).repeat_interleave(size["frames"], dim=0)
            case.add(inputs, case.module(**inputs, image_only_indicator=image_only(**size)), variant)
        case.save()


def samplers() -> None:
    config = {"channels": 32, "use_conv": True, "out_channels": 32, "padding": 1, "name": "op"}
    case = Case("downsample-2d", Downsample2D(**config), config)
    x = case.normal(2, 32, 6, 10)
    case.add({"hidden_states": x}, case.module(x))
    case.save()

    # Odd sides, as a latent of 5 x 7: ceil(side / 2) comes out.
    case = Case("downsample-2d-odd", Downsample2D(**config), config)
    x = case.normal(2, 32, 5, 7)
    case.add({"hidden_states": x}, case.module(x))
    case.save()

    config = {"channels": 32, "use_conv": True, "out_channels": 32, "padding": 0, "name": "op"}
    case = Case("downsample-2d-asymmetric", Downsample2D(**config), config)
    x = case.normal(2, 32, 6, 10)
    case.add({"hidden_states": x}, case.module(x))
    case.save()

    config = {"channels": 32, "use_conv": True, "out_channels": 32}
    for name, size in (("upsample-2d", None), ("upsample-2d-to-size", [5, 9])):
        case = Case(name, Upsample2D(**config), {**config, "output_size": size})
        x = case.normal(2, 32, 3, 5)
        case.add({"hidden_states": x}, case.module(x, size))
        case.save()


def embeddings() -> None:
    config = {"in_channels": 32, "time_embed_dim": 128}
    case = Case("timestep-embedding", TimestepEmbedding(**config), config)
    timestep = torch.tensor([1.6378, -1.5536])
    output = case.module(Timesteps(32, flip_sin_to_cos=True, downscale_freq_shift=0)(timestep))
    case.add({"timestep": timestep}, output)
    case.save()

    # As `time_pos_embed`: the frame's number in, one vector of the block's width out.
    config = {"in_channels": 32, "time_embed_dim": 128, "out_dim": 32}
    case = Case("timestep-embedding-frames", TimestepEmbedding(**config), config)
    frames = torch.arange(14)
    output = case.module(Timesteps(32, flip_sin_to_cos=True, downscale_freq_shift=0)(frames))
    case.add({"timestep": frames.float()}, output)
    case.save()


def attentions() -> None:
    # The VAE's: one head, its own group norm, biases, residual; the input is (frames, channels, height, width).
    config = {"query_dim": 64, "heads": 1, "dim_head": 64, "eps": 1e-6, "norm_num_groups": 32, "bias": True}
    config |= {"residual_connection": True}
    case = Case("attention-vae", Attention(**config), config)
    x = case.normal(2, 64, 4, 6)
    case.add({"hidden_states": x}, case.module(x))
    case.save()

    config = {"query_dim": 48, "heads": 3, "dim_head": 16}
    case = Case("attention-self", Attention(**config), config)
    x = case.normal(2, 15, 48)
    case.add({"hidden_states": x}, case.module(x))
    case.save()

    # One context token an item: the case of every cross-attention in SVD. And three, where a softmax is left.
    config = {"query_dim": 48, "heads": 3, "dim_head": 16, "cross_attention_dim": 40}
    for name, tokens in (("attention-cross", 1), ("attention-cross-3-tokens", 3)):
        case = Case(name, Attention(**config), config)
        x, context = case.normal(2, 15, 48), case.normal(2, tokens, 40)
        inputs = {"hidden_states": x, "encoder_hidden_states": context}
        case.add(inputs, case.module(x, encoder_hidden_states=context))
        case.save()


def feed_forwards() -> None:
    config = {"dim": 32, "activation_fn": "geglu"}
    case = Case("feed-forward", FeedForward(**config), config)
    x = case.normal(2, 15, 32)
    case.add({"hidden_states": x}, case.module(x))
    case.save()


def blenders() -> None:
    cases = {
        "alpha-blender": {"alpha": 0.5, "merge_strategy": "learned_with_images"},
        "alpha-blender-switched": {
            "alpha": 0.0,
            "merge_strategy": "learned",
            "switch_spatial_to_temporal_mix": True,
        },
    }
    for name, config in cases.items():
        case = Case(name, AlphaBlender(**config), config)
        # (batch, channels, frames, height, width)
        inputs = {"x_spatial": case.normal(1, 8, 3, 4, 5), "x_temporal": case.normal(1, 8, 3, 4, 5)}
        case.add(inputs, case.module(**inputs, image_only_indicator=image_only(1, 3)))
        case.save()


def transformers() -> None:
    config = {"dim": 32, "num_attention_heads": 2, "attention_head_dim": 16, "cross_attention_dim": 40}
    case = Case("basic-transformer-block", BasicTransformerBlock(**config), config, NETWORK)
    x, context = case.normal(2, 15, 32), case.normal(2, 1, 40)
    case.add({"hidden_states": x, "encoder_hidden_states": context}, case.module(x, encoder_hidden_states=context))
    case.save()

    config = {**config, "time_mix_inner_dim": 32}
    case = Case("temporal-basic-transformer-block", TemporalBasicTransformerBlock(**config), config, NETWORK)
    for variant, size in VARIANTS.items():
        batch, frames, tokens = size["batch"], size["frames"], 6
        # (batch*frames, tokens, channels), and the context once a token: (batch*tokens, 1, channels)
        x = case.normal(batch * frames, tokens, 32)
        context = case.normal(batch, 1, 40).repeat_interleave(tokens, dim=0)
        inputs = {"hidden_states": x, "encoder_hidden_states": context}
        case.add(inputs, case.module(x, num_frames=frames, encoder_hidden_states=context), variant)
    case.save()

    for layers, heads in ((1, 4), (2, 2)):
        channels = 32
        config = {"num_attention_heads": heads, "attention_head_dim": channels // heads, "in_channels": channels}
        config |= {"num_layers": layers, "cross_attention_dim": 40}
        name = f"transformer-spatio-temporal-{layers}-layer{'s' if layers > 1 else ''}"
        case = Case(name, TransformerSpatioTemporalModel(**config), config, NETWORK)
        for variant, size in VARIANTS.items():
            batch, frames = size["batch"], size["frames"]
            context = case.normal(batch, 1, 40)
            if variant == "guided":
                context[0] = 0
            inputs = {
                "hidden_states": case.normal(batch * frames, channels, *small_size(frames)),
                # One vector an item, repeated for each frame, as in the UNet: (batch*frames, 1, channels)
                "encoder_hidden_states": context.repeat_interleave(frames, dim=0),
            }
            output = case.module(**inputs, image_only_indicator=image_only(batch, frames), return_dict=False)[0]
            case.add(inputs, output, variant)
        case.save()


def decoder_mid_block() -> None:
    # With three layers there are three resnets and one attention: the reference runs two resnets and leaves the third out.
    config = {"in_channels": 32, "out_channels": 32, "num_layers": 3, "attention_head_dim": 32}
    case = Case("mid-block-temporal-decoder-3-layers", MidBlockTemporalDecoder(**config), config, NETWORK)
    size = VARIANTS["frames2"]
    x = case.normal(2, 32, 3, 5)
    case.add({"hidden_states": x}, case.module(x, image_only_indicator=image_only(**size)), "frames2")
    case.save()


def clip_layers() -> None:
    for activation in ("gelu", "quick_gelu"):
        config = {"hidden_size": 32, "intermediate_size": 80, "num_attention_heads": 4, "hidden_act": activation}
        config |= {"layer_norm_eps": 1e-5}
        clip = CLIPVisionConfig(**config, attn_implementation="sdpa")
        case = Case(f"clip-encoder-layer-{activation.replace('_', '-')}", CLIPEncoderLayer(clip), config)
        x = case.normal(2, 10, 32)
        output = case.module(x, attention_mask=None)
        case.add({"hidden_states": x}, output if isinstance(output, torch.Tensor) else output[0])
        case.save()

    # 40 is not a multiple of 7: the last 5 rows and columns of pixels are not seen.
    config = {"hidden_size": 32, "num_attention_heads": 4, "image_size": 40, "patch_size": 7}
    case = Case("clip-vision-embeddings", CLIPVisionEmbeddings(CLIPVisionConfig(**config)), config)
    pixel_values = case.normal(2, 3, 40, 40)
    case.add({"pixel_values": pixel_values}, case.module(pixel_values))
    case.save()
