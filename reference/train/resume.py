"""How does a training go on where it was killed? All that it needs to continue, saved whole or not at all."""

from pathlib import Path

import torch
from torch import nn


class Resumable:
    """The state of a training: its parts (anything with `state_dict`), the steps taken and the seconds they took.

    Made with the path of a state that an earlier run saved, it continues from there, with random numbers drawn from the step.
    """

    def __init__(self, path: Path, seed: int, **parts):
        self.path, self.parts = path, parts
        self.step, self.seconds = 0, 0.0
        if path.exists():
            saved = torch.load(path)
            for name, part in parts.items():
                part.load_state_dict(saved[name])
            self.step, self.seconds = saved["step"], saved["seconds"]
        self.seed = seed + self.step
        torch.manual_seed(self.seed)

    def save(self) -> None:
        states = {name: part.state_dict() for name, part in self.parts.items()}
        torch.save({**states, "step": self.step, "seconds": self.seconds}, self.path.with_suffix(".new"))
        self.path.with_suffix(".new").replace(self.path)


@torch.no_grad()
def average(averaged: nn.Module, model: nn.Module, step: int, warm_up: int, longest: float) -> None:
    """Moves the averaged weights towards the model's: by much in the first steps, by 1 - `longest` later."""
    keep = min(longest, (step + 1) / (step + warm_up))
    torch._foreach_lerp_(list(averaged.parameters()), list(model.parameters()), 1 - keep)
