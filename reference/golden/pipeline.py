"""What does the whole StableVideoDiffusionPipeline give, step by step, from a committed picture to frames?

`call` in a file's metadata holds the pipeline's arguments by their Python names, but for three: `image` names committed
pictures, `seed` the seed of the generator (a list: one generator a video), and `latents` the tensor in the file.
"""

import torch
from PIL import Image

from .animate_lcm import AnimateLcmScheduler
from .checkpoints import load_checkpoint
from .files import FRAMES, LATENTS, TEST_FOLDER, generator_of, save_golden
from .pictures import landscape

PICTURES = {"landscape.png": 7, "harbour.png": 23}

TWO, THREE, FOUR = "two-levels-fp32", "three-levels-fp16", "four-levels-bf16"

# What most cases of the smallest checkpoint share.
SMALL = {"image": "landscape.png", "height": 32, "width": 48, "num_frames": 3, "num_inference_steps": 2, "seed": 42}

CASES = {
    f"{TWO}-guided": (TWO, {"image": "landscape.png", "height": 40, "width": 56, "num_inference_steps": 4, "seed": 42}),
    f"{TWO}-unguided": (TWO, {**SMALL, "height": 40, "width": 56, "max_guidance_scale": 1.0}),
    f"{THREE}-guided": (THREE, {**SMALL, "height": 64, "width": 80, "seed": 1}),
    f"{THREE}-unguided": (THREE, {**SMALL, "height": 80, "width": 64, "num_frames": 2, "max_guidance_scale": 1.0}),
    f"{FOUR}-guided": (FOUR, {**SMALL, "height": 32, "width": 48, "seed": 0}),
    f"{FOUR}-unguided": (FOUR, {**SMALL, "height": 48, "width": 32, "num_frames": 2, "max_guidance_scale": 1.0}),
    # 56 x 72 is a latent of 7 x 9, which the UNet halves upwards and doubles to the size of the skip.
    "odd-latent": (THREE, {**SMALL, "height": 56, "width": 72, "num_frames": 2}),
    # Height and width None: sample_size * the VAE's scale, 48 x 48. (Left out, the reference takes 576 x 1024.)
    "default-size": (
        TWO,
        {"image": "harbour.png", "height": None, "width": None, "num_frames": 2, "num_inference_steps": 1, "seed": 5},
    ),
    # One frame has the minimum scale. At 1 the reference drops the unconditional half midway, and fails.
    "one-frame": (TWO, {**SMALL, "num_frames": 1, "min_guidance_scale": 2.0}),
    "one-step": (TWO, {**SMALL, "num_inference_steps": 1}),
    "large-seed": (TWO, {**SMALL, "num_frames": 2, "seed": 2**40 + 7}),
    "guidance-range": (TWO, {**SMALL, "min_guidance_scale": 1.5, "max_guidance_scale": 4.0}),
    "micro-conditioning": (TWO, {**SMALL, "fps": 12, "motion_bucket_id": 40, "noise_aug_strength": 0.1}),
    "no-noise-augmentation": (TWO, {**SMALL, "num_frames": 2, "noise_aug_strength": 0.0}),
    "custom-sigmas": (TWO, {**SMALL, "num_inference_steps": 25, "sigmas": [700.0, 54.5, 1.789, 0.0]}),
    "animate-lcm": (TWO, {**SMALL, "num_inference_steps": 4, "max_guidance_scale": 1.0}),
    "animate-lcm-guided": (TWO, {**SMALL, "num_frames": 2, "num_inference_steps": 3, "max_guidance_scale": 1.2}),
    "given-latents": (TWO, {**SMALL, "latents": "latents"}),
    "replaced-latents": (TWO, {**SMALL, "num_inference_steps": 3}),
    "several-images": (TWO, {**SMALL, "image": ["landscape.png", "harbour.png"], "num_frames": 2}),
    "several-images-seeds": (
        TWO,
        {**SMALL, "image": ["landscape.png", "harbour.png"], "num_frames": 2, "seed": [42, 43], "num_inference_steps": 1},
    ),
    "several-videos": (TWO, {**SMALL, "num_videos_per_prompt": 2, "num_frames": 2}),
    "several-videos-seeds": (TWO, {**SMALL, "num_videos_per_prompt": 2, "num_frames": 2, "seed": [42, 43]}),
    # The image embeddings repeat as a a b b, the image latents as a b a b: so does the reference.
    "several-images-several-videos": (
        TWO,
        {
            **SMALL,
            "image": ["landscape.png", "harbour.png"],
            "num_videos_per_prompt": 2,
            "num_frames": 2,
            "num_inference_steps": 1,
            "seed": [42, 43, 44, 45],
        },
    ),
    "decode-chunk-1": (TWO, {**SMALL, "decode_chunk_size": 1}),
    "decode-chunk-2": (TWO, {**SMALL, "decode_chunk_size": 2}),
    "decode-chunk-3-of-5": (TWO, {**SMALL, "num_frames": 5, "num_inference_steps": 1, "decode_chunk_size": 3}),
    # Chunks are cut from all videos laid end to end: the second chunk holds the last frame of one and the first of the next.
    "decode-chunk-across-videos": (
        TWO,
        {**SMALL, "num_videos_per_prompt": 2, "num_inference_steps": 1, "decode_chunk_size": 2},
    ),
}


def make() -> None:
    folder = TEST_FOLDER / "pipeline" / "golden"
    folder.mkdir(parents=True, exist_ok=True)
    for name, seed in PICTURES.items():
        landscape(150, 100, seed).save(folder / name)
    for name, (checkpoint, call) in CASES.items():
        make_case(name, checkpoint, call)


def make_case(name: str, checkpoint: str, call: dict) -> None:
    pipeline = load_checkpoint(checkpoint)
    pipeline.set_progress_bar_config(disable=True)
    tensors = record_stages(pipeline)

    arguments = {key: value for key, value in call.items() if key != "seed"}
    arguments["image"] = open_pictures(call["image"])
    arguments["generator"] = make_generators(call["seed"])
    if name.startswith("animate-lcm"):
        pipeline.scheduler = AnimateLcmScheduler(arguments["generator"])
    if "latents" in call:
        height, width = call["height"] // pipeline.vae_scale_factor, call["width"] // pipeline.vae_scale_factor
        shape = (1, call["num_frames"], 4, height, width)
        arguments["latents"] = tensors["latents"] = torch.randn(shape, generator=generator_of(f"pipeline/{name}"))

    def on_step_end(_, step, timestep, values):
        tensors[f"latents.step{step}"] = values["latents"].clone()
        if name == "replaced-latents" and step == 0:
            return {"latents": values["latents"] * 0.5}
        return {}

    frames = pipeline(**arguments, callback_on_step_end=on_step_end, output_type="np").frames
    tensors["frames"] = torch.from_numpy(frames)
    case = {"tolerance": {"latents": LATENTS, "frames": FRAMES}}
    if name == "replaced-latents":
        case["callback"] = "after step 0 the latents are replaced by half of themselves; latents.step0 is before that"
    save_golden(
        "pipeline",
        name,
        tensors,
        config={"checkpoint": checkpoint},
        case=case,
        tolerance=LATENTS,
        seed=call["seed"],
        call=call,
    )


def record_stages(pipeline) -> dict[str, torch.Tensor]:
    """The tensors that the pipeline computes before its loop, conditional half only, filled in as it runs."""
    tensors: dict[str, torch.Tensor] = {}

    def record(method: str, key: str, has_two_halves: bool) -> None:
        original = getattr(pipeline, method)

        def recording(*args, **kwargs):
            result = original(*args, **kwargs)
            is_guided = has_two_halves and pipeline.do_classifier_free_guidance
            tensors[key] = (result.chunk(2)[1] if is_guided else result).clone()
            return result

        setattr(pipeline, method, recording)

    record("_encode_image", "image_embeddings", True)  # (videos, 1, projection width)
    record("_encode_vae_image", "image_latents", True)  # (videos, 4, height / scale, width / scale)
    record("prepare_latents", "initial_latents", False)  # (videos, frames, 4, ...), times init_noise_sigma
    return tensors


def open_pictures(names: str | list[str]) -> Image.Image | list[Image.Image]:
    if isinstance(names, list):
        return [open_pictures(name) for name in names]
    return Image.open(TEST_FOLDER / "pipeline" / "golden" / names).convert("RGB")


def make_generators(seed: int | list[int]) -> torch.Generator | list[torch.Generator]:
    if isinstance(seed, list):
        return [make_generators(one) for one in seed]
    return torch.Generator("cpu").manual_seed(seed)
