"""How long does diffusers take to decode a clip? Called and answering as reference/bench/measurement.py says.

`--window N` frames are decoded at a time, each window on its own: the pipeline's `decode_chunk_size`.
"""

import torch
from diffusers import StableVideoDiffusionPipeline
from safetensors.torch import load_file, save_file

from .measurement import DTYPES, Stopwatch, parser, print_measurement, variant_of


@torch.inference_mode()
def main() -> None:
    arguments_parser = parser()
    arguments_parser.add_argument("--window", type=int, required=True)
    arguments = arguments_parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dtype = DTYPES[arguments.dtype]

    stopwatch = Stopwatch()
    pipeline = StableVideoDiffusionPipeline.from_pretrained(
        arguments.checkpoint,
        variant=variant_of(arguments.checkpoint),
        dtype=dtype,
        local_files_only=True,
        unet=None,
        image_encoder=None,
    )
    if arguments.compile:
        pipeline.vae.decoder = torch.compile(pipeline.vae.decoder, fullgraph=True)
    latents = load_file(arguments.inputs)["latents"][None].to(dtype)  # (1, frames, 4, height, width)
    frames = latents.shape[1]
    load_seconds = stopwatch.elapsed()

    def decode() -> torch.Tensor:
        decoded = pipeline.decode_latents(latents, frames, arguments.window)  # (1, 3, frames, height, width)
        return pipeline.video_processor.postprocess_video(decoded, output_type="pt")[0]

    result = decode()
    warm_up_seconds = stopwatch.elapsed() - load_seconds
    for _ in range(arguments.runs):
        result = stopwatch.run(decode)
    save_file({"frames": result.float().permute(0, 2, 3, 1).contiguous()}, arguments.output)
    print_measurement(stopwatch, load_seconds=load_seconds, warm_up_seconds=warm_up_seconds)


if __name__ == "__main__":
    main()
