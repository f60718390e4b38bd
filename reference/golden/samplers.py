"""Which trajectories do the samplers take, and which levels do Align Your Steps and AnimateLCM give? By k-diffusion."""

import importlib.metadata
import sys
import types
from importlib.machinery import PathFinder

import numpy
import torch

from .checkpoints import PUBLISHED_SCHEDULER
from .files import generator_of, save_golden

KARRAS = {"sigma_min": PUBLISHED_SCHEDULER["sigma_min"], "sigma_max": PUBLISHED_SCHEDULER["sigma_max"], "rho": 7.0}

CHURN = {"s_churn": 3.0, "s_tmin": 0.05, "s_tmax": 50.0, "s_noise": 1.003}

# Sampler, steps, arguments.
RUNS = {
    "euler": ("sample_euler", 10, {}),
    "euler-churn": ("sample_euler", 10, CHURN),
    "euler-most-churn": ("sample_euler", 12, {"s_churn": 40.0}),
    "heun": ("sample_heun", 10, {}),
    "heun-churn": ("sample_heun", 10, CHURN),
    "heun-one-step": ("sample_heun", 1, {}),
    "dpmpp-2m": ("sample_dpmpp_2m", 10, {}),
    "dpmpp-2m-two-steps": ("sample_dpmpp_2m", 2, {}),
}

# Data that is normal with this mean and standard deviation: the best denoiser is known, so no network is needed.
MEAN, DEVIATION = 0.3, 0.7

SHAPE = (2, 3, 4, 5)

TOLERANCE = {"relative": 1e-6, "absolute": 0}

ALIGN_YOUR_STEPS = [700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002]


def make() -> None:
    sampling = k_diffusion_sampling()
    for name, (function, steps, arguments) in RUNS.items():
        sigmas = sampling.get_sigmas_karras(steps, **KARRAS).float().double()
        make_run(sampling, name, getattr(sampling, function), sigmas, arguments)
    # A run that ends above 0.
    make_run(sampling, "heun-to-noise", sampling.sample_heun, torch.tensor([700.0, 54.5, 4.0, 0.5]).double(), {})
    make_run(sampling, "dpmpp-2m-to-noise", sampling.sample_dpmpp_2m, torch.tensor([700.0, 54.5, 4.0, 0.5]).double(), {})
    for steps in [1, 2, 4, 8]:
        make_animate_lcm(steps)
    make_align_your_steps([1, 2, 5, 9, 10, 11, 25, 40])


def k_diffusion_sampling() -> types.ModuleType:
    """k_diffusion.sampling alone: the package as a whole imports its training code and all that needs."""
    package = types.ModuleType("k_diffusion")
    package.__path__ = list(PathFinder.find_spec("k_diffusion").submodule_search_locations)
    utils = types.ModuleType("k_diffusion.utils")
    utils.append_dims = lambda x, dims: x.reshape(*x.shape, *[1] * (dims - x.ndim))
    package.utils = utils
    sys.modules |= {"k_diffusion": package, "k_diffusion.utils": utils}
    from k_diffusion import sampling

    return sampling


def denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    variance = DEVIATION**2
    return MEAN + (x - MEAN) * variance / (variance + sigma.reshape(-1, *[1] * (x.ndim - 1)) ** 2)


def make_run(sampling, name: str, sample, sigmas: torch.Tensor, arguments: dict) -> None:
    generator = generator_of(f"schedulers/sampler-{name}")
    steps = len(sigmas) - 1
    # Euler's steps are float32 in the reference pipeline as well, and what such a step rounds is part of its answer.
    dtype = torch.float32 if name.startswith("euler") else torch.float64
    sigmas = sigmas.to(dtype)
    start = (torch.randn(SHAPE, generator=generator) * sigmas[0].float()).float()
    noise = [torch.randn(SHAPE, generator=generator) for _ in range(steps)]
    states, drawn = [], iter(noise)
    # k-diffusion draws noise in each step and uses it only where it churns.
    churned = [i for i in range(steps) if arguments.get("s_tmin", 0) <= sigmas[i] <= arguments.get("s_tmax", float("inf"))]
    sampling.torch = types.SimpleNamespace(**{**vars(torch), "randn_like": lambda x: next(drawn).to(dtype)})
    end = sample(denoise, start.to(dtype), sigmas, callback=lambda state: states.append(state["i"]), disable=True, **arguments)
    assert states == list(range(steps))
    tensors = {"sigmas": sigmas.float(), "start": start, "end": end.float()}
    if "s_churn" in arguments:
        tensors |= {f"noise.{n}": noise[i] for n, i in enumerate(churned)}
    # The state after each step is the end of a run that stops there.
    for i in range(1, steps):
        drawn = iter(noise)
        # k-diffusion divides s_churn by the steps of the run at hand.
        shorter = {**arguments, "s_churn": arguments["s_churn"] * i / steps} if "s_churn" in arguments else arguments
        tensors[f"step{i}"] = sample(denoise, start.to(dtype), sigmas[: i + 1], disable=True, **shorter).float()
    reference = f"k-diffusion {importlib.metadata.version('k-diffusion')} {sample.__name__}, {dtype}"
    case = {"arguments": arguments, "mean": MEAN, "deviation": DEVIATION, "reference": reference}
    save_golden("schedulers", f"sampler-{name}", tensors, config={}, case=case, tolerance=TOLERANCE)


def make_animate_lcm(steps: int) -> None:
    """No package has this sampler: transcribed here, in float64, from the formulas of the published one."""
    name = f"sampler-animate-lcm-{steps}"
    generator = generator_of(f"schedulers/{name}")
    ramp = numpy.arange(steps) * (40 // steps) / 39
    high, low = (KARRAS[key] ** (1 / 7) for key in ("sigma_max", "sigma_min"))
    sigmas = torch.from_numpy(numpy.append((high + ramp * (low - high)) ** 7, 0).astype("float32")).double()
    x = torch.randn(SHAPE, generator=generator).double() * (sigmas[0] ** 2 + 1) ** 0.5
    tensors = {"sigmas": sigmas.float(), "timesteps": 0.25 * sigmas[:-1].log().float(), "start": x.float()}
    x = x.float().double()
    for i in range(steps):
        sigma = sigmas[i]
        # What a network would say: v, of which the denoised sample is x / (s^2 + 1) - s v / sqrt(s^2 + 1).
        v = torch.randn(SHAPE, generator=generator)
        noise = torch.randn(SHAPE, generator=generator)
        x = x / (sigma**2 + 1) - sigma * v / (sigma**2 + 1) ** 0.5 + sigmas[i + 1] * noise
        tensors |= {f"v.{i}": v, f"noise.{i}": noise, f"step{i + 1}": x.float()}
    case = {"steps": steps, "reference": "transcription of AnimateLCM's scheduler, float64"}
    save_golden("schedulers", name, tensors, config=PUBLISHED_SCHEDULER, case=case, tolerance=TOLERANCE)


def make_align_your_steps(counts: list[int]) -> None:
    """By research.nvidia.com/labs/toronto-ai/AlignYourSteps/howto.html: numpy's interpolation of the logarithms."""
    tensors = {}
    for steps in counts:
        places = numpy.linspace(0, 10, steps + 1)
        sigmas = numpy.exp(numpy.interp(places, numpy.arange(11), numpy.log(ALIGN_YOUR_STEPS)))
        sigmas[-1] = 0
        tensors[f"{steps}.sigmas"] = torch.from_numpy(sigmas).float()
    save_golden("schedulers", "align-your-steps", tensors, config=PUBLISHED_SCHEDULER, case={"steps": counts}, tolerance=TOLERANCE)
