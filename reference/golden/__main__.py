"""Makes the golden files of all areas, or of those named: `python -m reference.golden [area ...]`."""

import importlib
import os
import sys

# One thread and no network: the same numbers every time.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

# In this order: what comes later reads the checkpoints and the pictures.
AREAS = [
    "checkpoints",
    "ops",
    "layers",
    "blocks",
    "networks",
    "published",
    "pipeline",
    "single_file",
    "lora",
    "float8",
    "random",
    "image",
    "schedulers",
    "hostile",
]


def main() -> None:
    areas = sys.argv[1:] or AREAS
    unknown = [area for area in areas if area not in AREAS]
    if unknown:
        sys.exit(f"unknown area {', '.join(unknown)}; there are: {', '.join(AREAS)}")
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for area in areas:
        importlib.import_module(f".{area}", __package__).make()
        print(f"{area}: done")


if __name__ == "__main__":
    main()
