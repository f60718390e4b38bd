"""How long does one evaluation of diffusers' UNet take? Called and answering as reference/bench/measurement.py says."""

import torch
from diffusers import UNetSpatioTemporalConditionModel
from safetensors.torch import load_file, save_file

from .measurement import DTYPES, Stopwatch, parser, print_measurement, variant_of


@torch.inference_mode()
def main() -> None:
    arguments = parser().parse_args()
    torch.set_num_threads(arguments.threads)
    dtype = DTYPES[arguments.dtype]

    stopwatch = Stopwatch()
    unet = UNetSpatioTemporalConditionModel.from_pretrained(
        arguments.checkpoint,
        subfolder="unet",
        variant=variant_of(arguments.checkpoint),
        dtype=dtype,
        local_files_only=True,
    ).eval()
    if arguments.compile:
        unet = torch.compile(unet, fullgraph=True)
    inputs = {name: value.to(dtype) for name, value in load_file(arguments.inputs).items()}
    latents = inputs["latents"][None]  # (1, frames, 4, height, width)
    image_latents = inputs["image_latents"][None].expand_as(latents)
    sample = torch.cat([latents, image_latents], dim=2)
    timestep = inputs["timestep"].flatten()[0]
    context = inputs["image_embedding"][None]  # (1, 1, channels)
    added_time_ids = inputs["added_time_ids"].reshape(1, -1)
    load_seconds = stopwatch.elapsed()

    def step() -> torch.Tensor:
        return unet(sample, timestep, context, added_time_ids, return_dict=False)[0]

    result = step()
    warm_up_seconds = stopwatch.elapsed() - load_seconds
    for _ in range(arguments.runs):
        result = stopwatch.run(step)
    save_file({"sample": result[0].float().contiguous()}, arguments.output)
    print_measurement(stopwatch, load_seconds=load_seconds, warm_up_seconds=warm_up_seconds)


if __name__ == "__main__":
    main()
