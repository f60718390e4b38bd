"""What makes training faster on two shared cores? One worker thread a core instead of threads inside each operator, a quicker
backward pass of GroupNorm, and temporal convolutions in two dimensions. None changes what is computed.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn


class GroupNormFunction(torch.autograd.Function):
    """torch's own forward pass; a backward pass of two reductions and two fused multiply-adds (torch's took a quarter of a step)."""

    @staticmethod
    def forward(ctx, x, weight, bias, groups, eps):
        batch, channels = x.shape[:2]
        x = x.contiguous()
        y, mean, rstd = torch.native_group_norm(x, weight, bias, batch, channels, x[0, 0].numel(), groups, eps)
        ctx.save_for_backward(x, weight, mean, rstd)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, weight, mean, rstd = ctx.saved_tensors
        batch, channels = x.shape[:2]
        groups = mean.shape[1]
        xs = x.reshape(batch, channels, -1)  # (batch, channels, positions)
        dys = dy.reshape(batch, channels, -1)
        mean, rstd = mean.float(), rstd.float()
        sum_dy = dys.sum(-1, dtype=torch.float32)  # (batch, channels)
        sum_dyx = (dys * xs).sum(-1, dtype=torch.float32)
        spread = lambda t: t.repeat_interleave(channels // groups, 1)  # noqa: E731  (batch, groups) -> (batch, channels)
        normalised = (sum_dyx - spread(mean) * sum_dy) * spread(rstd)
        gather = lambda t: (t * weight.float()).reshape(batch, groups, -1).sum(-1)  # noqa: E731
        count = xs.shape[2] * (channels // groups)
        a, b = gather(sum_dy) / count, gather(normalised) / count
        scale = (spread(rstd) * weight.float()).to(dys.dtype)[..., None]
        slope = spread(-(rstd**2) * b).to(dys.dtype)[..., None]
        offset = spread(-rstd * a + rstd**2 * b * mean).to(dys.dtype)[..., None]
        dx = torch.addcmul(offset, xs, slope).addcmul_(dys, scale)
        return dx.reshape(x.shape), normalised.sum(0).to(weight.dtype), sum_dy.sum(0).to(weight.dtype), None, None


def use_fast_group_norm() -> None:
    """Every nn.GroupNorm of this process uses the quicker backward pass."""

    def forward(self, x):
        return GroupNormFunction.apply(x, self.weight, self.bias, self.num_groups, self.eps)

    nn.GroupNorm.forward = forward


def use_flat_temporal_convolution() -> None:
    """A (3, 1, 1) convolution is a (3, 1) one over (frames, positions), which torch computes faster."""
    original = nn.Conv3d.forward

    def forward(self, x):
        if self.kernel_size != (3, 1, 1):
            return original(self, x)
        flat = x.reshape(*x.shape[:3], -1)  # (batch, channels, frames, positions)
        y = nn.functional.conv2d(flat, self.weight[..., 0], self.bias, padding=(1, 0))
        return y.reshape(*y.shape[:3], *x.shape[3:])

    nn.Conv3d.forward = forward


class Workers:
    """Threads that each compute the gradient of a part of a batch; start the process with OMP_NUM_THREADS=1."""

    def __init__(self, parameters: list[nn.Parameter], count: int = 2):
        self.parameters = parameters
        self.pool = ThreadPoolExecutor(count)

    def gradients(self, loss: Callable[[object], tuple[Tensor, object]], parts: list[object]) -> list[object]:
        """Sets each parameter's gradient to the mean over the parts; returns the loss function's second results."""

        def one(part):
            value, extra = loss(part)
            return torch.autograd.grad(value, self.parameters, allow_unused=True), extra

        results = list(self.pool.map(one, parts))
        with torch.no_grad():
            for index, parameter in enumerate(self.parameters):
                found = [gradients[index] for gradients, _ in results if gradients[index] is not None]
                parameter.grad = sum(found[1:], found[0]) / len(parts) if found else None
        return [extra for _, extra in results]
