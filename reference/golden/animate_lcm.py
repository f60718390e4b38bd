"""How does AnimateLCM-SVD's scheduler take the place of Euler's in the reference pipeline?

No package has it: transcribed from the formulas of the published one (github.com/G-U-N/AnimateLCM, animatelcm_svd), in
float32 as there. The noise of each step comes from the generator of the run.
"""

import types

import numpy
import torch

SIGMA_MIN, SIGMA_MAX, RHO, TRAINED_LEVELS = 0.002, 700.0, 7, 40


class AnimateLcmScheduler:
    order = 1
    init_noise_sigma = (SIGMA_MAX**2 + 1) ** 0.5

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def set_timesteps(self, num_inference_steps: int, device=None) -> None:
        ramp = numpy.arange(num_inference_steps) * (TRAINED_LEVELS // num_inference_steps) / (TRAINED_LEVELS - 1)
        high, low = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
        sigmas = (high + ramp * (low - high)) ** RHO
        self.timesteps = torch.from_numpy(0.25 * numpy.log(sigmas)).float()
        self.sigmas = torch.from_numpy(numpy.append(sigmas, 0)).float()
        self.index = 0

    def scale_model_input(self, sample: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return sample / (self.sigmas[self.index] ** 2 + 1) ** 0.5

    def step(self, model_output: torch.Tensor, timestep: torch.Tensor, sample: torch.Tensor):
        sigma, following = self.sigmas[self.index], self.sigmas[self.index + 1]
        denoised = model_output * (-sigma / (sigma**2 + 1) ** 0.5) + sample / (sigma**2 + 1)
        noise = torch.randn(sample.shape, generator=self.generator)
        self.index += 1
        return types.SimpleNamespace(prev_sample=denoised + noise * following)
