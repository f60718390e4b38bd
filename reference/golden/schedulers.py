"""Which sigmas, timesteps and steps does EulerDiscreteScheduler give, as the published checkpoints configure it and otherwise?

The other samplers are in samplers.py.
"""

import torch
from diffusers import EulerDiscreteScheduler

from . import samplers
from .checkpoints import PUBLISHED_SCHEDULER
from .files import generator_of, save_golden

STEPS = [1, 2, 25, 50]

# Align Your Steps' sigmas for SVD: https://research.nvidia.com/labs/toronto-ai/AlignYourSteps/
CUSTOM_SIGMAS = [700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.0]

EPSILON = {"prediction_type": "epsilon"}
NO_KARRAS = {"use_karras_sigmas": False, "sigma_min": None, "sigma_max": None}

# What differs from the published config.
CONFIGS = {
    "svd": {},
    "other-sigma-range": {"sigma_min": 0.01, "sigma_max": 80.0},
    "sigma-range-of-the-betas": {"sigma_min": None, "sigma_max": None},
    "linspace": {"timestep_spacing": "linspace"},
    "trailing": {"timestep_spacing": "trailing"},
    "discrete-v-prediction": {"timestep_type": "discrete"},
    "epsilon": {**EPSILON, "sigma_min": 0.03, "sigma_max": 14.6},
    "epsilon-svd-range": EPSILON,
    "sample": {"prediction_type": "sample", "sigma_min": 0.03, "sigma_max": 14.6},
    "no-karras-leading": {**EPSILON, **NO_KARRAS},
    "no-karras-leading-no-offset": {**EPSILON, **NO_KARRAS, "steps_offset": 0},
    "no-karras-trailing": {**EPSILON, **NO_KARRAS, "timestep_spacing": "trailing"},
    "no-karras-linspace": {**EPSILON, **NO_KARRAS, "timestep_spacing": "linspace"},
    "no-karras-v-prediction": NO_KARRAS,
    "no-karras-linear-betas": {**EPSILON, **NO_KARRAS, "beta_schedule": "linear"},
    "log-linear": {**EPSILON, **NO_KARRAS, "interpolation_type": "log_linear", "timestep_spacing": "linspace"},
    "exponential": {"use_karras_sigmas": False, "use_exponential_sigmas": True},
    "final-sigma-min": {"final_sigmas_type": "sigma_min"},
    "zero-snr": {**EPSILON, **NO_KARRAS, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
}


def make() -> None:
    for name, changes in CONFIGS.items():
        config = {**PUBLISHED_SCHEDULER, **changes}
        schedules = {str(steps): {"num_inference_steps": steps} for steps in STEPS}
        if name in ("svd", "epsilon"):
            schedules["custom"] = {"sigmas": CUSTOM_SIGMAS}
        make_config(name, config, schedules)
    samplers.make()


def make_config(name: str, config: dict, schedules: dict[str, dict]) -> None:
    generator = generator_of(f"schedulers/{name}")
    tensors, indices = {}, {}
    for schedule, arguments in schedules.items():
        scheduler = EulerDiscreteScheduler(**config)
        scheduler.set_timesteps(**arguments)
        tensors[f"{schedule}.sigmas"] = scheduler.sigmas
        tensors[f"{schedule}.timesteps"] = scheduler.timesteps
        tensors[f"{schedule}.init_noise_sigma"] = torch.as_tensor(scheduler.init_noise_sigma).reshape(1)

        count = len(scheduler.timesteps)
        indices[schedule] = sorted({0, count // 2, count - 1})
        for index in indices[schedule]:
            tensors |= {f"{schedule}.step{index}.{key}": x for key, x in one_step(scheduler, index, generator).items()}
    case = {"set_timesteps": schedules, "steps": indices}
    save_golden("schedulers", name, tensors, config=config, case=case, tolerance={"relative": 1e-6, "absolute": 0})


def one_step(scheduler: EulerDiscreteScheduler, index: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    scheduler._step_index = None
    scheduler.set_begin_index(index)
    size = (scheduler.sigmas[index] ** 2 + 1) ** 0.5
    sample = torch.randn(1, 2, 4, 2, 3, generator=generator) * size
    model_output = torch.randn(sample.shape, generator=generator)
    timestep = scheduler.timesteps[index]
    scaled = scheduler.scale_model_input(sample, timestep)
    prev_sample = scheduler.step(model_output, timestep, sample).prev_sample
    return {"sample": sample, "model_output": model_output, "scaled_sample": scaled, "prev_sample": prev_sample}
