"""How is a golden file written: which keys, which metadata, where?"""

import json
import os
import zlib
from pathlib import Path

import diffusers
import numpy
import PIL
import safetensors
import torch
import transformers
from safetensors.torch import save

TEST_FOLDER = Path(__file__).resolve().parents[2] / "test"

VERSIONS = {
    "torch": torch.__version__.split("+")[0],
    "diffusers": diffusers.__version__,
    "transformers": transformers.__version__,
    "safetensors": safetensors.__version__,
    "numpy": numpy.__version__,
    "pillow": PIL.__version__,
}

# What `tolerance` in a file's metadata means: max |got - expected| <= relative * max |expected| + absolute, per tensor.
EXACT = {"relative": 0, "absolute": 0}
LAYER = {"relative": 1e-5, "absolute": 0}
NETWORK = {"relative": 1e-4, "absolute": 0}
LATENTS = {"relative": 1e-3, "absolute": 0}
FRAMES = {"relative": 0, "absolute": 2e-3}


def seed_of(name: str) -> int:
    """The seed of a case, from its name alone, so that adding a case changes no other."""
    return zlib.crc32(name.encode())


def generator_of(name: str) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed_of(name))


def save_golden(
    area: str,
    name: str,
    tensors: dict[str, torch.Tensor],
    *,
    config: dict,
    case: dict | None = None,
    tolerance: dict,
    seed: int | list[int] | None = None,
    call: dict | None = None,
    folder: Path | None = None,
) -> Path:
    """Writes test/<area>/golden/<name>.safetensors, or the same in another folder, all at once or not at all."""
    folder = folder or TEST_FOLDER / area / "golden"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    metadata = {
        "recipe": f"python -m reference.golden {area} (case {name})",
        "versions": json.dumps(VERSIONS),
        "seed": json.dumps(seed_of(f"{area}/{name}") if seed is None else seed),
        "tolerance": json.dumps(tolerance),
        "config": json.dumps(config),
        "case": json.dumps(case or {}),
    }
    if call is not None:
        metadata["call"] = json.dumps(call)
    # Cloned: the writer refuses tensors that share memory.
    own = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    unfinished = folder / f".{name}.unfinished"
    unfinished.write_bytes(with_sorted_header(save(own, metadata=metadata)))
    os.replace(unfinished, path)
    return path


def with_sorted_header(data: bytes) -> bytes:
    """The same safetensors file with its header in a fixed order: the writer's own changes from run to run."""
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def prefixed(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{key}": value for key, value in tensors.items()}
