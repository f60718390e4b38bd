"""How long does diffusers' pipeline take for a whole clip? Called and answering as reference/bench/measurement.py says.

INPUTS holds `picture.N` (height, width, 3) and `noise.N` (1, frames, 4, latent height, latent width) for each run N.
`--settings JSON` are arguments of the pipeline's call. `--unet-dtype bf16` leaves all but the UNet in `--dtype`.
"""

import json
import time

import torch
from diffusers import StableVideoDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file, save_file

from .measurement import DTYPES, Stopwatch, parser, print_measurement, variant_of


@torch.inference_mode()
def main() -> None:
    arguments_parser = parser()
    arguments_parser.add_argument("--settings", type=json.loads, required=True)
    arguments_parser.add_argument("--unet-dtype", choices=DTYPES)
    arguments = arguments_parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dtype = DTYPES[arguments.dtype]
    unet_dtype = DTYPES[arguments.unet_dtype or arguments.dtype]

    stopwatch = Stopwatch()
    pipeline = StableVideoDiffusionPipeline.from_pretrained(
        arguments.checkpoint, variant=variant_of(arguments.checkpoint), dtype=dtype, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    if unet_dtype != dtype:
        pipeline.unet.to(unet_dtype)
    if arguments.compile:
        pipeline.unet.forward = torch.compile(pipeline.unet.forward, fullgraph=True)
    forward, denoise_seconds = pipeline.unet.forward, 0.0
    inputs = load_file(arguments.inputs)
    load_seconds = stopwatch.elapsed()

    def timed_forward(*args: object, **kwargs: object) -> tuple[torch.Tensor]:
        nonlocal denoise_seconds
        started = time.perf_counter()
        args = [to_dtype(value, dtype, unet_dtype) for value in args]
        kwargs = {name: to_dtype(value, dtype, unet_dtype) for name, value in kwargs.items()}
        (result,) = forward(*args, **kwargs)
        denoise_seconds += time.perf_counter() - started
        return (result.to(dtype),)

    pipeline.unet.forward = timed_forward

    def clip(number: int, settings: dict) -> torch.Tensor:
        return pipeline(
            Image.fromarray(inputs[f"picture.{number}"].numpy()),
            latents=inputs[f"noise.{number}"].to(dtype),
            generator=torch.Generator("cpu").manual_seed(number),
            output_type="pt",
            **settings,
        ).frames[0]

    first = clip(0, {**arguments.settings, "num_inference_steps": 1})
    warm_up_seconds = stopwatch.elapsed() - load_seconds
    clips, denoise_seconds_of_runs = {"frames.first": frames_last(first)}, []
    for number in range(arguments.runs):
        denoise_seconds = 0.0
        frames = stopwatch.run(lambda: clip(number, arguments.settings))  # (frames, 3, height, width)
        denoise_seconds_of_runs.append(denoise_seconds)
        clips[f"frames.{number}"] = frames_last(frames)
    save_file(clips, arguments.output)
    print_measurement(
        stopwatch, load_seconds=load_seconds, warm_up_seconds=warm_up_seconds, denoiseSeconds=denoise_seconds_of_runs
    )


def frames_last(frames: torch.Tensor) -> torch.Tensor:
    """(frames, 3, height, width) -> (frames, height, width, 3), as ours writes them."""
    return frames.float().permute(0, 2, 3, 1).contiguous()


def to_dtype(value: object, dtype: torch.dtype, wanted: torch.dtype) -> object:
    """What is in the pipeline's format in the UNet's; timesteps keep theirs."""
    is_of_pipeline = isinstance(value, torch.Tensor) and value.dtype == dtype and value.ndim > 0
    return value.to(wanted) if is_of_pipeline else value


if __name__ == "__main__":
    main()
