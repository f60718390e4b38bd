"""What does a measured program of diffusers take and print? The counterpart of bench/self-measurement.ts.

`python -m reference.bench.SUBJECT CHECKPOINT INPUTS OUTPUT --threads N --runs N --dtype fp32|bf16 [--compile]` prints one line of
JSON, a `Measurement` of bench/measurement.ts, and writes what it computed to OUTPUT.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import diffusers
import torch

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("inputs")
    parser.add_argument("output")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--dtype", choices=DTYPES, required=True)
    parser.add_argument("--compile", action="store_true")
    return parser


def variant_of(checkpoint: str) -> str | None:
    """`fp16` where the checkpoint's weights files are named so."""
    return "fp16" if any(Path(checkpoint, "unet").glob("*.fp16.safetensors")) else None


class Stopwatch:
    """Measures what it calls: by the clock, and by the time that the processors spent."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.run_seconds: list[float] = []
        self.run_cpu_seconds: list[float] = []

    def elapsed(self) -> float:
        return time.perf_counter() - self.started

    def run(self, function: Callable[[], torch.Tensor]) -> torch.Tensor:
        started, cpu_started = time.perf_counter(), time.process_time()
        result = function()
        self.run_seconds.append(time.perf_counter() - started)
        self.run_cpu_seconds.append(time.process_time() - cpu_started)
        return result


def print_measurement(stopwatch: Stopwatch, *, load_seconds: float, warm_up_seconds: float, **others: object) -> None:
    measurement = {
        "loadSeconds": load_seconds,
        "warmUpSeconds": warm_up_seconds,
        "runSeconds": stopwatch.run_seconds,
        "runCpuSeconds": stopwatch.run_cpu_seconds,
        "peakBytes": peak_resident_bytes(),
        "versions": {"torch": torch.__version__, "diffusers": diffusers.__version__},
        **others,
    }
    print(json.dumps(measurement))


def peak_resident_bytes() -> int:
    """Linux: VmHWM, which starts anew with each program; elsewhere what getrusage says. Pages of mapped files count."""
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
