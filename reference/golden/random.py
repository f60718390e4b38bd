"""Which numbers does torch's CPU generator draw from a seed, and which normals does torch.randn make of them?"""

import torch

from .files import save_golden

SEEDS = [0, 1, 42, 2**32 - 1, 2**40 + 7, -3]
SIZES = [1, 15, 16, 17, 23, 4096]
DTYPES = [torch.float32, torch.float16]
RAW_COUNT = 2000

# What one generator, seeded with 42, draws one after the other. Below 16 values torch takes them from a generator of pairs
# that keeps the second of a pair for the next draw; from 16 on it fills in rows of 16 and leaves the kept one alone.
SEQUENCES = {
    "short": [(1, "float32"), (1, "float32"), (1, "float32"), (2, "float32")],
    "odd-then-odd": [(5, "float32"), (5, "float32"), (3, "float32")],
    "long-then-short": [(23, "float32"), (5, "float32"), (16, "float32"), (1, "float32")],
    "kept-across-long": [(3, "float32"), (16, "float32"), (1, "float32"), (17, "float32"), (2, "float32")],
    "image-then-latents": [(3 * 8 * 8, "float32"), (2 * 4 * 4 * 4, "float32")],
    "half-short": [(3, "float16"), (3, "float16"), (1, "float16")],
    "half-kept-across-long": [(3, "float16"), (20, "float16"), (1, "float16")],
    "both-dtypes": [(3, "float32"), (1, "float16"), (23, "float16"), (1, "float32"), (16, "float32")],
    "image-then-half-latents": [(3 * 8 * 8, "float32"), (2 * 4 * 4 * 4, "float16")],
}


def make() -> None:
    case = {"cpu_capability": torch.backends.cpu.get_cpu_capability()}
    for seed in SEEDS:
        tensors = {"raw": raw_stream(seed)}
        for dtype in DTYPES:
            for size in SIZES:
                tensors[f"randn.{name_of(dtype)}.{size}"] = torch.randn(size, generator=generator(seed), dtype=dtype)
        save("seed-" + str(seed).replace("-", "minus-"), tensors, case, seed)

    tensors = {}
    for name, draws in SEQUENCES.items():
        source = generator(42)
        for i, (size, dtype) in enumerate(draws):
            tensors[f"{name}.{i}"] = torch.randn(size, generator=source, dtype=getattr(torch, dtype))
    save("sequences", tensors, {**case, "sequences": SEQUENCES}, 42)


def save(name: str, tensors: dict, case: dict, seed: int) -> None:
    tolerance = {"raw": "equal", "randn": "2 ulp"}
    save_golden("random", name, tensors, config={}, case=case, tolerance=tolerance, seed=seed)


def raw_stream(seed: int) -> torch.Tensor:
    """The generator's 32-bit outputs in order.

    A draw over the full range of int64 is two outputs side by side, the first one in the high half.
    """
    pairs = torch.empty(RAW_COUNT // 2, dtype=torch.int64).random_(-(2**63), None, generator=generator(seed))
    halves = torch.stack([(pairs >> 32) & 0xFFFFFFFF, pairs & 0xFFFFFFFF], dim=1)
    return halves.flatten().to(torch.uint32)


def generator(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
