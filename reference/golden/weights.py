"""Which weights does a random network get, so that every part of it matters to the result?

No weight is zero, no norm is the identity, no mix factor is 0 (sigmoid 0.5), and a signal keeps a standard deviation of
about 1 through the layers.
"""

import torch
from torch import nn

NORMS = (nn.GroupNorm, nn.LayerNorm)


@torch.no_grad()
def randomize(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Fills every parameter in place, in the order of their names' registration, and puts the module in eval mode."""
    norm_parameters = {id(p) for m in module.modules() if isinstance(m, NORMS) for p in m.parameters()}
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("mix_factor"):
            # 0.4 to 2 either side of zero: sigmoid 0.12 to 0.40, or 0.60 to 0.88.
            size = 0.4 + 1.6 * torch.rand(parameter.shape, generator=generator)
            parameter.copy_(torch.copysign(size, noise))
        elif id(parameter) in norm_parameters:
            parameter.copy_(1 + 0.2 * noise if name.endswith("weight") else 0.1 * noise)
        elif name.endswith(("position_embedding.weight", "class_embedding")):
            parameter.copy_(0.5 * noise)
        elif name.endswith("bias"):
            parameter.copy_(0.1 * noise)
        else:
            fan_in = parameter[0].numel()
            parameter.copy_(noise / fan_in**0.5)
    return module.eval().requires_grad_(False)


@torch.no_grad()
def round_to(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Rounds every parameter to a value that `dtype` can store; the module stays fp32."""
    for parameter in module.parameters():
        parameter.copy_(parameter.to(dtype))
    return module


@torch.no_grad()
def scale_output(layer: nn.Conv2d | nn.Conv3d | nn.Linear, output: torch.Tensor, std: float) -> None:
    """Scales the last layer of a network so that `output`, which it gave, would have had this standard deviation."""
    factor = std / output.std()
    layer.weight.mul_(factor)
    if layer.bias is not None:
        layer.bias.mul_(factor)
