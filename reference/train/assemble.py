"""What is shipped? A diffusers folder in fp16 from the trained parts, written beside its place and then renamed into it.

    python assemble.py --state .train --to ../../models/tiny

Other files of the folder (MODEL_CARD.md, pictures, preset.json) stay. `preset.json` is written from PRESET below.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from clips import FRAMES, HEIGHT, WIDTH

SIGMA_MIN, SIGMA_MAX = 0.02, 25.0
PRESET = {
    "numFrames": FRAMES,
    "width": WIDTH,
    "height": HEIGHT,
    "numInferenceSteps": 8,
    "minGuidanceScale": 1.5,
    "maxGuidanceScale": 1.5,
    "fps": 7,
    "motionBucketId": 127,
    "noiseAugStrength": 0.02,
}
PARTS = ("feature_extractor", "image_encoder", "scheduler", "unet", "vae", "model_index.json", "preset.json")


def build_pipeline(state: Path, vae_folder: str) -> StableVideoDiffusionPipeline:
    vae = AutoencoderKLTemporalDecoder.from_pretrained(state / vae_folder)
    scale = json.loads((state / "latents" / "scale.json").read_text())
    vae.register_to_config(scaling_factor=scale["scaling_factor"], sample_size=WIDTH)
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        num_train_timesteps=1000,
        prediction_type="v_prediction",
        interpolation_type="linear",
        use_karras_sigmas=True,
        sigma_min=SIGMA_MIN,
        sigma_max=SIGMA_MAX,
        timestep_spacing="leading",
        timestep_type="continuous",
        steps_offset=1,
    )
    return StableVideoDiffusionPipeline(
        vae,
        CLIPVisionModelWithProjection.from_pretrained(state / "image_encoder"),
        UNetSpatioTemporalConditionModel.from_pretrained(state / "unet"),
        scheduler,
        CLIPImageProcessor(size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}),
    )


def replace_parts(source: Path, target: Path) -> None:
    """Moves the new parts in one by one, each by a rename, so that a reader never finds half a file."""
    target.mkdir(parents=True, exist_ok=True)
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    old.mkdir()
    for part in PARTS:
        if (target / part).exists():
            (target / part).rename(old / part)
        (source / part).rename(target / part)
    shutil.rmtree(old)
    shutil.rmtree(source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".train"))
    parser.add_argument("--vae", default="vae", help="vae, or vae_tuned or vae_steady after the fine-tuning of that name")
    parser.add_argument("--to", type=Path, required=True)
    arguments = parser.parse_args()
    new = arguments.to.with_name(f".{arguments.to.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    pipeline = build_pipeline(arguments.state, arguments.vae).to(torch.float16)
    pipeline.save_pretrained(new, safe_serialization=True)
    for path in new.glob("*/config.json"):
        config = json.loads(path.read_text())
        config.pop("_name_or_path", None)  # where training kept the part
        path.write_text(json.dumps(config, indent=2) + "\n")
    for path in new.rglob("*.safetensors"):
        path.chmod(0o644)
    (new / "preset.json").write_text(json.dumps(PRESET, indent=2) + "\n")
    size = sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
    replace_parts(new, arguments.to)
    print(f"{arguments.to}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
