"""How are the weights updated? Muon for matrices and kernels, Adam for vectors, both with one learning-rate factor.

Muon: momentum whose singular values are all set to about one by five Newton-Schulz steps (Jordan 2024,
https://kellerjordan.github.io/posts/muon/; scaled to Adam's update size as in arXiv:2502.16982, equation 4).
"""

import torch
from torch import Tensor, nn

ADAM_SHARE = 0.4


def orthogonalise(matrices: Tensor) -> Tensor:
    """(count, rows, columns) -> the same shape with singular values near one."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16()
    for _ in range(5):
        gram = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    x = x.float()
    return x.transpose(1, 2) if tall else x


class Muon:
    """The state of an optimiser: one momentum buffer for each group of equally shaped matrices, and Adam's for the rest."""

    def __init__(self, parameters: list[nn.Parameter], learning_rate: float, momentum: float = 0.95, decay: float = 0.01):
        self.learning_rate, self.momentum, self.decay = learning_rate, momentum, decay
        self.groups: dict[tuple[int, int], list[nn.Parameter]] = {}
        for parameter in parameters:
            if parameter.ndim >= 2:
                self.groups.setdefault((parameter.shape[0], parameter[0].numel()), []).append(parameter)
        self.buffers = {shape: torch.zeros(len(group), *shape) for shape, group in self.groups.items()}
        vectors = [parameter for parameter in parameters if parameter.ndim < 2]
        self.adam = torch.optim.AdamW(vectors, lr=learning_rate * ADAM_SHARE, betas=(0.9, 0.95), weight_decay=0.0)

    def step(self, factor: float) -> None:
        """One update with the learning rate times `factor`."""
        for group in self.adam.param_groups:
            group["lr"] = self.learning_rate * ADAM_SHARE * factor
        self.adam.step()
        rate = self.learning_rate * factor
        for shape, group in self.groups.items():
            gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in group]
            gradient = torch.stack([g.reshape(shape) for g in gradients])
            buffer = self.buffers[shape]
            buffer.mul_(self.momentum).add_(gradient, alpha=1 - self.momentum)
            update = orthogonalise(gradient.mul(1 - self.momentum).add_(buffer, alpha=self.momentum))
            scale = 0.2 * max(shape) ** 0.5
            for index, parameter in enumerate(group):
                if parameter.grad is not None:
                    change = update[index].reshape(parameter.shape)
                    parameter.data.mul_(1 - rate * self.decay).add_(change, alpha=-rate * scale)

    def state_dict(self) -> dict:
        return {"buffers": self.buffers, "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        for shape, buffer in state["buffers"].items():
            self.buffers[shape].copy_(buffer)
        self.adam.load_state_dict(state["adam"])
