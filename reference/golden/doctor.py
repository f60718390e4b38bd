"""What must `stillmotion doctor` compute? A tiny clip of a painted picture, made by diffusers and kept beside the checkpoint.

`python -m reference.golden.doctor models/tiny` writes models/tiny/golden.safetensors; a second argument names another file.
"""

import json
import os
import sys
from pathlib import Path

# One thread and no network: the same numbers every time.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy  # noqa: E402
import torch  # noqa: E402
from diffusers import StableVideoDiffusionPipeline  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from .files import VERSIONS  # noqa: E402
from .pictures import landscape  # noqa: E402

# The picture is of another size than the clip, so that it is resized too.
PICTURE = {"width": 40, "height": 24}
# Every setting is named: the checkpoint's preset.json, which diffusers does not know, must not have a say.
CALL = {
    "width": 32,
    "height": 32,
    "num_frames": 2,
    "num_inference_steps": 2,
    "min_guidance_scale": 1.0,
    "max_guidance_scale": 3.0,
    "fps": 7,
    "motion_bucket_id": 127,
    "noise_aug_strength": 0.02,
    "decode_chunk_size": 2,
    "seed": 0,
}
# Wide enough for other processors' rounding. The frames are stored as float16, half a unit of which is 2.4e-4.
TOLERANCE = {"latents": {"relative": 1e-3, "absolute": 0}, "frames": {"relative": 0, "absolute": 2.3e-3}}


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    folder = Path(sys.argv[1])
    path = Path(sys.argv[2]) if len(sys.argv) > 2 else folder / "golden.safetensors"
    variant = "fp16" if any(folder.rglob("*.fp16.safetensors")) else None
    pipeline = StableVideoDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, variant=variant)
    pipeline.set_progress_bar_config(disable=True)

    picture = landscape(**PICTURE)
    arguments = {key: value for key, value in CALL.items() if key != "seed"}
    kept = {}

    def keep_latents(_, step, timestep, values):
        kept["latents"] = values["latents"].clone()
        return {}

    frames = pipeline(
        picture,
        **arguments,
        generator=torch.Generator("cpu").manual_seed(CALL["seed"]),
        callback_on_step_end=keep_latents,
        output_type="np",
    ).frames
    tensors = {
        "image": torch.from_numpy(numpy.array(picture)),
        "latents": kept["latents"],
        "frames": torch.from_numpy(frames[0]).to(torch.float16),
    }
    metadata = {
        "recipe": f"python -m reference.golden.doctor {folder.name}",
        "versions": json.dumps(VERSIONS),
        "call": json.dumps(CALL),
        "tolerance": json.dumps(TOLERANCE),
    }
    save_file({key: value.contiguous() for key, value in tensors.items()}, path, metadata=metadata)
    path.chmod(0o644)


if __name__ == "__main__":
    main()
