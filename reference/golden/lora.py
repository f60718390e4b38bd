"""What does the UNet give with LoRAs added to its weights? The LoRA files lie beside the answers.

diffusers' own loader reads the file in its own form; its UNet for video lacks that mixin, so it is mixed in here. It
knows neither of the other two forms for these layers: their products are added to the weights. PEFT itself writes its
folder, and merges it.
"""

import json
from pathlib import Path

import torch
from diffusers import UNetSpatioTemporalConditionModel
from diffusers.loaders.peft import PeftAdapterMixin
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file, save

from .checkpoints import CHECKPOINT_FOLDER, CHECKPOINTS
from .files import NETWORK, TEST_FOLDER, generator_of, prefixed, save_golden, with_sorted_header

FOLDER = TEST_FOLDER / "weights" / "lora" / "golden"
FRAMES, HEIGHT, WIDTH = 3, 6, 8

# Every kind of layer: attention projections (those of attn2 that matter and those that do not), both halves of a GEGLU,
# linear layers, convolutions within a frame (with stride, 1x1, first, last) and across frames.
LAYERS = {
    "two-levels-fp32": [
        "conv_in",
        "conv_out",
        "down_blocks.0.downsamplers.0.conv",
        "down_blocks.0.resnets.0.spatial_res_block.conv1",
        "down_blocks.1.attentions.0.proj_in",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v",
        "down_blocks.1.attentions.0.transformer_blocks.0.ff.net.0.proj",
        "down_blocks.1.attentions.0.temporal_transformer_blocks.0.ff_in.net.2",
        "down_blocks.1.attentions.0.temporal_transformer_blocks.0.attn1.to_v",
        "down_blocks.1.resnets.0.spatial_res_block.conv_shortcut",
        "mid_block.resnets.1.temporal_res_block.conv2",
        "mid_block.resnets.1.temporal_res_block.time_emb_proj",
        "up_blocks.1.resnets.0.temporal_res_block.conv1",
        "time_embedding.linear_2",
    ],
    "three-levels-fp16": [
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v",
        "up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0",
        "up_blocks.1.attentions.0.temporal_transformer_blocks.0.attn1.to_v",
    ],
}


# What only the configuration says: alpha, a scale by the root of the rank, and ranks and alphas by layer, whose keys are
# regular expressions for the end of a path. The first that fits counts.
PEFT = dict(
    r=4,
    lora_alpha=6,
    use_rslora=True,
    rank_pattern={"^conv_in": 2, r"(attn1|attn2)\.to_[kv]": 6, "to_v": 3, r".*\.temporal_res_block\.conv\d": 5},
    alpha_pattern={r"down_blocks\.\d+\..*\.(to_q|conv1)$": 3, "attn2.to_k": 9, "^conv1": 100, "ff.net.0.proj": 0.5},
)


class Unet(UNetSpatioTemporalConditionModel, PeftAdapterMixin):
    pass


def make() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        diffusers_form("two-levels-fp32")
        kohya_form("two-levels-fp32")
        processor_form("three-levels-fp16")
        outputs("two-levels-fp32", {"diffusers": 1.0})
        outputs("two-levels-fp32", {"kohya": 0.8})
        outputs("two-levels-fp32", {"diffusers": 0.7, "kohya": -0.4})
        outputs("three-levels-fp16", {"attention-processors": 1.5})
        peft_form("two-levels-fp32")
        outputs("two-levels-fp32", {"peft": 1.0})


def load_unet(checkpoint: str) -> Unet:
    variant = CHECKPOINTS[checkpoint]["variant"]
    return Unet.from_pretrained(CHECKPOINT_FOLDER / checkpoint, subfolder="unet", variant=variant, dtype=torch.float32)


def diffusers_form(checkpoint: str) -> None:
    """Written by diffusers itself: names as PEFT has them, alpha in the metadata, another one for two layers."""
    generator = generator_of("weights/lora/diffusers")
    unet = load_unet(checkpoint)
    alphas = {"ff.net.0.proj": 10, "mid_block.resnets.1.temporal_res_block.conv2": 1}
    config = LoraConfig(r=4, lora_alpha=6, alpha_pattern=alphas, target_modules=LAYERS[checkpoint])
    unet.add_adapter(config)
    for name, parameter in unet.named_parameters():
        if "lora_" in name:
            fan_in = parameter[0].numel()
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
    unet.save_lora_adapter(FOLDER, weight_name="diffusers.safetensors")
    sort_targets(FOLDER / "diffusers.safetensors")


def sort_targets(path: Path) -> None:
    """The configuration holds a set, which Python writes in another order each time."""
    config = adapter_config(path) | {"target_modules": sorted(adapter_config(path)["target_modules"])}
    metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(config)}
    path.write_bytes(with_sorted_header(save(load_file(path), metadata=metadata)))


def adapter_config(path: Path) -> dict:
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["lora_adapter_metadata"])


def kohya_form(checkpoint: str) -> None:
    generator = generator_of("weights/lora/kohya")
    unet = load_unet(checkpoint)
    tensors = {}
    for index, layer in enumerate(LAYERS[checkpoint]):
        down, up = halves(unet.get_submodule(layer).weight, 2 + index % 3, generator)
        key = f"lora_unet_{layer.replace('.', '_')}"
        tensors |= {f"{key}.lora_down.weight": down.half(), f"{key}.lora_up.weight": up.half()}
        if index % 4 != 3:  # without alpha the scale is 1
            tensors[f"{key}.alpha"] = torch.tensor(1.5).half()
    write("kohya", tensors)


def processor_form(checkpoint: str) -> None:
    generator = generator_of("weights/lora/attention-processors")
    unet = load_unet(checkpoint)
    tensors = {}
    for layer in LAYERS[checkpoint]:
        down, up = halves(unet.get_submodule(layer).weight, 3, generator)
        attention, projection = layer.removesuffix(".0").rsplit(".", 1)
        key = f"unet.{attention}.processor.{projection}_lora"
        tensors |= {f"{key}.down.weight": down.bfloat16(), f"{key}.up.weight": up.bfloat16()}
    write("attention-processors", tensors)


def peft_form(checkpoint: str) -> None:
    """Written by PEFT itself, under its own prefix: the file's name and that of its configuration are PEFT's."""
    generator = generator_of("weights/lora/peft")
    model = get_peft_model(load_unet(checkpoint), LoraConfig(target_modules=LAYERS[checkpoint], **PEFT))
    for key, parameter in sorted(model.named_parameters()):
        if "lora_" in key:
            fan_in = parameter[0].numel()
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
    folder = FOLDER / "peft"
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    weights.write_bytes(with_sorted_header(save(load_file(weights), metadata={"format": "pt"})))
    said = json.loads(config.read_text())
    said |= {"target_modules": sorted(said["target_modules"]), "base_model_name_or_path": None}
    config.write_text(json.dumps(said, indent=2) + "\n")


def halves(weight: torch.Tensor, rank: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """As kohya's scripts shape them: (rank, in, ...kernel) and (out, rank, 1, ...)."""
    normal = lambda *shape: torch.randn(shape, generator=generator)
    fan_in = weight[0].numel()
    down = normal(rank, *weight.shape[1:]) * 0.5 / fan_in**0.5
    up = normal(weight.shape[0], rank, *[1] * (weight.dim() - 2)) / rank**0.5
    return down, up


def write(name: str, tensors: dict[str, torch.Tensor]) -> None:
    (FOLDER / f"{name}.safetensors").write_bytes(with_sorted_header(save(tensors, metadata={"format": "pt"})))


def outputs(checkpoint: str, strengths: dict[str, float]) -> None:
    unet = load_unet(checkpoint)
    bare = load_unet(checkpoint)
    for form, strength in strengths.items():
        if form == "diffusers":
            path = FOLDER / "diffusers.safetensors"
            unet.load_lora_adapter(load_file(path), prefix=None, adapter_name=form, metadata=adapter_config(path))
            unet.set_adapters([form], [strength])
        elif form == "peft":
            unet = PeftModel.from_pretrained(unet, FOLDER / form).merge_and_unload()
        else:
            add_products(unet, form, strength, LAYERS[checkpoint])

    name = f"{checkpoint}.{'+'.join(strengths)}"
    generator = generator_of(f"weights/lora/{name}")
    normal = lambda *shape: torch.randn(shape, generator=generator)
    image = normal(1, 1, 4, HEIGHT, WIDTH).expand(-1, FRAMES, -1, -1, -1)
    inputs = {
        "sample": torch.cat([normal(1, FRAMES, 4, HEIGHT, WIDTH), image], dim=2),
        "timestep": torch.tensor(1.2),
        "encoder_hidden_states": normal(1, 1, unet.config.cross_attention_dim),
        "added_time_ids": torch.tensor([[6.0, 127.0, 0.02]]),
    }
    tensors = prefixed("input", inputs) | {
        "output.sample": unet.eval()(**inputs).sample,
        "output.without": bare.eval()(**inputs).sample,
    }
    save_golden(
        "weights/lora", name, tensors, config={"checkpoint": checkpoint}, case={"strengths": strengths}, tolerance=NETWORK
    )


def add_products(unet: Unet, form: str, strength: float, layers: list[str]) -> None:
    tensors = {key: value.float() for key, value in load_file(FOLDER / f"{form}.safetensors").items()}
    for layer in layers:
        if form == "kohya":
            key = f"lora_unet_{layer.replace('.', '_')}"
            down, up = tensors.pop(f"{key}.lora_down.weight"), tensors.pop(f"{key}.lora_up.weight")
            alpha = tensors.pop(f"{key}.alpha", None)
        else:
            attention, projection = layer.removesuffix(".0").rsplit(".", 1)
            key = f"unet.{attention}.processor.{projection}_lora"
            down, up = tensors.pop(f"{key}.down.weight"), tensors.pop(f"{key}.up.weight")
            alpha = None
        rank = down.shape[0]
        scale = 1 if alpha is None else alpha / rank
        module = unet.get_submodule(layer)
        weight = module.base_layer.weight if hasattr(module, "base_layer") else module.weight
        weight += strength * scale * (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
    assert not tensors, f"not used: {list(tensors)}"
