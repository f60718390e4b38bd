"""How long does diffusers' UNet take, eager, in fp32? Prints one line of JSON, a `Measurement` of bench/measurement.ts.

`python -m reference.bench.unet UNET_FOLDER INPUTS OUTPUT --threads N --runs N`
"""

import argparse
import json
import resource
import sys
import time

import diffusers
import torch
from diffusers import UNetSpatioTemporalConditionModel
from safetensors.torch import load_file, save_file


def peak_resident_bytes() -> int:
    """Linux: VmHWM, which starts anew with each program; elsewhere what getrusage says. Pages of mapped files count."""
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("inputs")
    parser.add_argument("output")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--runs", type=int, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    started = time.perf_counter()
    unet = UNetSpatioTemporalConditionModel.from_pretrained(
        arguments.folder, variant="fp16", torch_dtype=torch.float32, local_files_only=True
    ).eval()
    inputs = load_file(arguments.inputs)
    load_seconds = time.perf_counter() - started

    latents = inputs["latents"][None]  # (1, frames, 4, height, width)
    image_latents = inputs["image_latents"][None].expand_as(latents)
    sample = torch.cat([latents, image_latents], dim=2)
    timestep = inputs["timestep"].flatten()[0]
    context = inputs["image_embedding"][None]  # (1, 1, channels)
    added_time_ids = inputs["added_time_ids"].reshape(1, -1)

    def step() -> torch.Tensor:
        return unet(sample, timestep, context, added_time_ids, return_dict=False)[0]

    step_seconds, step_cpu_seconds = [], []
    for _ in range(1 + arguments.runs):
        step_started, cpu_started = time.perf_counter(), time.process_time()
        result = step()
        step_seconds.append(time.perf_counter() - step_started)
        step_cpu_seconds.append(time.process_time() - cpu_started)

    save_file({"sample": result[0].contiguous()}, arguments.output)
    measurement = {
        "loadSeconds": load_seconds,
        "warmUpSeconds": step_seconds[0],
        "stepSeconds": step_seconds[1:],
        "stepCpuSeconds": step_cpu_seconds[1:],
        "peakBytes": peak_resident_bytes(),
        "details": {"torch": torch.__version__, "diffusers": diffusers.__version__},
    }
    print(json.dumps(measurement))


if __name__ == "__main__":
    main()
