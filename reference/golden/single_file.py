"""What does a checkpoint look like in a single file of the original layout? A small diffusers one, written out under those names.

diffusers 0.42.1 cannot load such a file, so the names are worked out here from the networks' configurations and checked
against the names that the published files have (test/weights/single-file/published-keys.txt). The layout is that of
https://github.com/Stability-AI/generative-models, scripts/sampling/configs/svd.yaml and svd_image_decoder.yaml.
"""

import gzip
import json

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from safetensors.torch import save
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from . import published
from .checkpoints import CROSS_DOWN, CROSS_UP, PLAIN_DOWN, PLAIN_UP, PUBLISHED_SCHEDULER, calibrate
from .files import FRAMES, LATENTS, TEST_FOLDER, generator_of, save_golden, with_sorted_header
from .pipeline import make_generators, open_pictures
from .weights import randomize

FOLDER = TEST_FOLDER / "weights" / "single-file"

# As the published ones: heads of 64 (UNet) and 80 channels (CLIP), attention everywhere but at the last level, which has
# one in the middle block; two layers a block in the VAE.
UNET = {
    "sample_size": 96,
    "down_block_types": (CROSS_DOWN, PLAIN_DOWN),
    "up_block_types": (PLAIN_UP, CROSS_UP),
    "block_out_channels": (64, 128),
    "addition_time_embed_dim": 24,
    "projection_class_embeddings_input_dim": 72,
    "layers_per_block": 1,
    "cross_attention_dim": 40,
    "transformer_layers_per_block": 1,
    "num_attention_heads": (1, 2),
    "num_frames": 14,
}
VAE = {
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "block_out_channels": (32, 64),
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 768,
    "scaling_factor": 0.18215,
    "force_upcast": True,
}
IMAGE_ENCODER = {
    "hidden_size": 160,
    "intermediate_size": 200,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 28,
    "projection_dim": 40,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
}
CALL = {
    "image": "landscape.png",
    "height": 32,
    "width": 48,
    "num_frames": 3,
    "num_inference_steps": 2,
    "seed": 42,
}

# In the files, but no part of the networks that run: EMA weights, what is left of the text tower, the autoencoder's own
# encoder, and the decoder of the autoencoder that encodes the picture.
IGNORED = {
    "model_ema.decay": (),
    "model_ema.num_updates": (),
    "model_ema.diffusion_modelinput_blocks00weight": (4,),
    "conditioner.embedders.0.open_clip.model.positional_embedding": (4, 8),
    "conditioner.embedders.0.open_clip.model.text_projection": (8, 4),
    "conditioner.embedders.0.open_clip.model.logit_scale": (),
    "conditioner.embedders.0.open_clip.model.token_embedding.weight": (4, 8),
    "conditioner.embedders.0.open_clip.model.ln_final.weight": (8,),
    "conditioner.embedders.0.open_clip.model.ln_final.bias": (8,),
    "conditioner.embedders.3.encoder.decoder.conv_in.weight": (4, 4, 3, 3),
    "conditioner.embedders.3.encoder.post_quant_conv.weight": (4, 4, 1, 1),
    "first_stage_model.encoder.conv_in.weight": (4, 3, 3, 3),
}

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}

# The name and the change ("", "q", "k", "v": a third of the rows; "1x1": a convolution; "transposed") of each tensor.
Sources = dict[str, tuple[str, str]]


def make() -> None:
    annotate_published_keys()
    make_checkpoint()


def make_checkpoint() -> None:
    generator = generator_of("single-file")
    unet = randomize(UNetSpatioTemporalConditionModel(**UNET), generator)
    vae = randomize(AutoencoderKLTemporalDecoder(**VAE), generator)
    image_encoder = randomize(CLIPVisionModelWithProjection(CLIPVisionConfig(**IMAGE_ENCODER)), generator)
    calibrate(unet, vae, image_encoder, generator)
    for network in (unet, vae, image_encoder):
        coarsen(network)
    frame_wise = randomize(frame_wise_vae(), generator)
    shared = {name: value for name, value in without_time(vae).items() if not name.startswith("post_quant_conv.")}
    assert not frame_wise.load_state_dict(shared, strict=False).unexpected_keys
    for parameter in frame_wise.post_quant_conv.parameters():
        parameter.copy_(parameter.half())

    sources = {
        "unet": unet_sources(unet),
        "vae": vae_sources(vae),
        "image_encoder": image_encoder_sources(image_encoder),
    }
    networks = {"unet": unet, "vae": vae, "image_encoder": image_encoder}
    tensors = {}
    for name, network in networks.items():
        tensors |= under_original_names(network.state_dict(), sources[name])
    for name, shape in IGNORED.items():
        tensors[name] = torch.randn(shape, generator=generator)
    data = with_sorted_header(save({name: value.half().contiguous() for name, value in tensors.items()}))
    (FOLDER / "golden").mkdir(parents=True, exist_ok=True)
    (FOLDER / "golden" / "svd_small.safetensors.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    # Its frame-wise decoder is the temporal one without what acts across frames; only this is new.
    frame_wise_parts = {
        f"first_stage_model.{name}": value.half()
        for name, value in frame_wise.state_dict().items()
        if name.startswith(("quant_conv.", "post_quant_conv."))
    }
    (FOLDER / "golden" / "frame-wise-parts.safetensors").write_bytes(with_sorted_header(save(frame_wise_parts)))
    configs = {"unet": unet.config, "vae": vae.config, "image_encoder": image_encoder.config.to_dict()}
    layout = {name: {"config": jsonable(configs[name]), "tensors": sources[name]} for name in networks}
    recipe = {"recipe": "python -m reference.golden single_file"}
    (FOLDER / "golden" / "svd_small.json").write_text(json.dumps(recipe | layout, indent=0) + "\n")
    make_run(unet, vae, image_encoder, frame_wise)


@torch.no_grad()
def make_run(unet, vae, image_encoder, frame_wise) -> None:
    pipeline = StableVideoDiffusionPipeline(
        vae=vae,
        image_encoder=image_encoder,
        unet=unet,
        scheduler=EulerDiscreteScheduler(**PUBLISHED_SCHEDULER),
        feature_extractor=CLIPImageProcessor(),
    )
    pipeline.set_progress_bar_config(disable=True)
    arguments = {key: value for key, value in CALL.items() if key != "seed"}
    arguments["image"] = open_pictures(CALL["image"])
    tensors = {}

    def on_step_end(_, step, timestep, values):
        tensors[f"latents.step{step}"] = values["latents"].clone()
        return {}

    arguments["generator"] = make_generators(CALL["seed"])
    frames = pipeline(**arguments, callback_on_step_end=on_step_end, output_type="np").frames
    tensors["frames"] = torch.from_numpy(frames)
    latents = tensors[f"latents.step{CALL['num_inference_steps'] - 1}"]
    decoded = frame_wise.decode(latents.flatten(0, 1) / VAE["scaling_factor"]).sample  # (frames, 3, height, width)
    tensors["frames.image_decoder"] = (decoded / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)[None]
    save_golden(
        "single_file",
        "svd_small-run",
        tensors,
        folder=FOLDER / "golden",
        config={"checkpoint": "svd_small"},
        case={"tolerance": {"latents": LATENTS, "frames": FRAMES}},
        tolerance=LATENTS,
        seed=CALL["seed"],
        call=CALL,
    )


@torch.no_grad()
def coarsen(network: torch.nn.Module) -> None:
    """Rounds large tensors to five values each, so that the file packs to a quarter; all to what fp16 stores."""
    for parameter in network.parameters():
        if parameter.numel() > 256:
            step = parameter.std()
            parameter.copy_((parameter / step).round().clamp(-2, 2) * step)
        parameter.copy_(parameter.half())


def frame_wise_vae() -> AutoencoderKL:
    config = {**VAE, "up_block_types": ("UpDecoderBlock2D",) * len(VAE["block_out_channels"])}
    return AutoencoderKL(**config)


def without_time(vae: AutoencoderKLTemporalDecoder) -> dict[str, torch.Tensor]:
    """What a frame-wise VAE shares with a temporal one."""
    temporal = (".temporal_res_block.", ".time_mixer.", ".time_conv_out.")
    state = vae.state_dict().items()
    return {
        name.replace(".spatial_res_block.", "."): value
        for name, value in state
        if not any(part in name for part in temporal)
    }


def unet_sources(unet: UNetSpatioTemporalConditionModel) -> Sources:
    config = unet.config
    places = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "conv_in": "input_blocks.0.0",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    layers, index = config.layers_per_block, 1
    for level in range(len(config.block_out_channels)):
        for layer in range(layers):
            places[f"down_blocks.{level}.resnets.{layer}"] = f"input_blocks.{index}.0"
            places[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{index}.1"
            index += 1
        places[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{index}.0.op"
        index += 1
    for level, kind in enumerate(config.up_block_types):
        for layer in range(layers + 1):
            index = level * (layers + 1) + layer
            places[f"up_blocks.{level}.resnets.{layer}"] = f"output_blocks.{index}.0"
            places[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{index}.1"
        places[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{index}.{2 if kind == CROSS_UP else 1}.conv"

    def source(name: str) -> tuple[str, str]:
        place = next(place for place in places if name.startswith(f"{place}."))
        rest = name[len(place) + 1 :]
        if ".resnets." in place:
            rest = resnet_source(rest, spatial="")
        if ".attentions." in place:
            rest = rest.replace("temporal_transformer_blocks", "time_stack")
            rest = rest.replace("time_pos_embed.linear_1", "time_pos_embed.0").replace("time_pos_embed.linear_2", "time_pos_embed.2")
        return f"model.diffusion_model.{places[place]}.{rest}", ""

    return {name: source(name) for name in unet.state_dict()}


def resnet_source(rest: str, spatial: str) -> str:
    part, *path = rest.split(".")
    if part == "time_mixer":
        return rest
    layer, parameter = path
    return f"{'time_stack.' if part == 'temporal_res_block' else spatial}{RESNET[layer]}.{parameter}"


def vae_sources(vae: AutoencoderKLTemporalDecoder) -> Sources:
    levels = len(vae.config.block_out_channels)
    places = {"encoder.conv_norm_out": "encoder.norm_out", "decoder.conv_norm_out": "decoder.norm_out"}
    places["decoder.time_conv_out"] = "decoder.conv_out.time_mix_conv"
    for half in ("encoder", "decoder"):
        for block in (0, 1):
            places[f"{half}.mid_block.resnets.{block}"] = f"{half}.mid.block_{block + 1}"
        attention = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
        for layer, original in attention.items():
            places[f"{half}.mid_block.attentions.0.{layer}"] = f"{half}.mid.attn_1.{original}"
    for level in range(levels):
        mirrored = levels - 1 - level
        for layer in range(vae.config.layers_per_block + 1):
            places[f"encoder.down_blocks.{level}.resnets.{layer}"] = f"encoder.down.{level}.block.{layer}"
            places[f"decoder.up_blocks.{level}.resnets.{layer}"] = f"decoder.up.{mirrored}.block.{layer}"
        places[f"encoder.down_blocks.{level}.downsamplers.0"] = f"encoder.down.{level}.downsample"
        places[f"decoder.up_blocks.{level}.upsamplers.0"] = f"decoder.up.{mirrored}.upsample"

    def source(name: str) -> tuple[str, str]:
        place = next((place for place in places if name.startswith(f"{place}.")), None)
        original = name
        if place is not None:
            rest = name[len(place) + 1 :].replace("spatial_res_block.", "").replace("conv_shortcut", "nin_shortcut")
            rest = rest.replace("time_mixer.", "")
            if rest.startswith("temporal_res_block."):
                rest = resnet_source(rest, spatial="")
            original = f"{places[place]}.{rest}"
        prefix = "first_stage_model." if name.startswith("decoder.") else "conditioner.embedders.3.encoder."
        return prefix + original, "1x1" if ".attentions.0.to_" in name and name.endswith("weight") else ""

    return {name: source(name) for name in vae.state_dict()}


def image_encoder_sources(image_encoder: CLIPVisionModelWithProjection) -> Sources:
    visual = "conditioner.embedders.0.open_clip.model.visual."
    places = {
        "vision_model.embeddings.class_embedding": "class_embedding",
        "vision_model.embeddings.patch_embedding": "conv1",
        "vision_model.embeddings.position_embedding.weight": "positional_embedding",
        "vision_model.pre_layrnorm": "ln_pre",
        "vision_model.post_layernorm": "ln_post",
        "vision_model.encoder.layers": "transformer.resblocks",
    }
    inside = {
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
        "self_attn.out_proj": "attn.out_proj",
    }

    def source(name: str) -> tuple[str, str]:
        if name == "visual_projection.weight":
            return f"{visual}proj", "transposed"
        place = next(place for place in places if name.startswith(place))
        rest = name[len(place) :]
        for part in "qkv":
            if f".self_attn.{part}_proj." in rest:
                return visual + places[place] + rest.replace(f"self_attn.{part}_proj.", "attn.in_proj_"), part
        for layer, original in inside.items():
            rest = rest.replace(layer, original)
        return visual + places[place] + rest, ""

    return {name: source(name) for name in image_encoder.state_dict() if not name.endswith("position_ids")}


def under_original_names(state: dict[str, torch.Tensor], sources: Sources) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for name, (original, change) in sources.items():
        value = state[name]
        if change == "1x1":
            value = value[:, :, None, None]
        if change == "transposed":
            value = value.T
        if change in ("k", "q", "v"):
            parts = [name.replace(f".{change}_proj.", f".{part}_proj.") for part in "qkv"]
            value = torch.cat([state[part] for part in parts])
        tensors[original] = value
    return tensors


def annotate_published_keys() -> None:
    """Writes the shape behind each published name. A name more or less than the published ones is an error."""
    path = FOLDER / "published-keys.txt"
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    names = {line.split(" ")[0] for line in path.read_text().splitlines() if not line.startswith("#")}
    with torch.device("meta"):
        unet = UNetSpatioTemporalConditionModel(**published.UNET)
        vae = AutoencoderKLTemporalDecoder(**published.VAE)
        image_encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**published.IMAGE_ENCODER))
    tensors = {
        **under_original_names(unet.state_dict(), unet_sources(unet)),
        **under_original_names(vae.state_dict(), vae_sources(vae)),
        **under_original_names(image_encoder.state_dict(), image_encoder_sources(image_encoder)),
    }
    if names != set(tensors):
        raise SystemExit(f"not published: {sorted(set(tensors) - names)[:5]}, not written: {sorted(names - set(tensors))[:5]}")
    lines = [f"{name} {','.join(map(str, tensors[name].shape))}" for name in sorted(names)]
    path.write_text("\n".join([*head, *lines]) + "\n")


def jsonable(config: dict) -> dict:
    return {key: value for key, value in json.loads(json.dumps(dict(config), default=str)).items() if not key.startswith("_")}
