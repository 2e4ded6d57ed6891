"""Parts of the 3D ResNets that PyTorchVideo published, under the tensor names of its files."""

from collections import OrderedDict
from collections.abc import Iterable

import torch
from torch import nn

Size = tuple[int, int, int]
"""Along time, height and width."""

POINT: Size = (1, 1, 1)


class Residual(nn.Module):
    """A block around which its input is carried and added.

    Args:
        branch: From (B, dim_in, l, h, w) to (B, dim_out, l', h', w').
        dim_in: Channels.
        dim_out: Channels.
        stride: Of the branch.
        norm: Whether batch norm follows the convolution of the shortcut, if it has one.
    """

    def __init__(
        self, branch: nn.Module, dim_in: int, dim_out: int, stride: Size, norm: bool = True
    ) -> None:
        super().__init__()
        # Names of the published files: branch1 is the shortcut, branch2 what it goes around.
        self.branch1_conv: nn.Module = nn.Identity()
        self.branch1_norm: nn.Module = nn.Identity()
        if dim_in != dim_out or stride != POINT:
            self.branch1_conv = convolution(dim_in, dim_out, POINT, stride)
            if norm:
                self.branch1_norm = nn.BatchNorm3d(dim_out)
        self.branch2 = branch
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, dim_in, l, h, w) to (B, dim_out, l', h', w')."""
        shortcut = self.branch1_norm(self.branch1_conv(x))
        summed: torch.Tensor = self.activation(shortcut + self.branch2(x))
        return summed


def convolution(
    dim_in: int, dim_out: int, kernel: Size, stride: Size = POINT, groups: int = 1
) -> nn.Conv3d:
    """A convolution without bias that keeps the size, up to its stride."""
    time, height, width = (size // 2 for size in kernel)
    return nn.Conv3d(
        dim_in,
        dim_out,
        kernel,
        stride=stride,
        padding=(time, height, width),
        groups=groups,
        bias=False,
    )


def bottleneck(
    conv_a: nn.Conv3d, conv_b: nn.Module, conv_c: nn.Conv3d, norm_b: nn.Module, act_b: nn.Module
) -> nn.Sequential:
    """Narrow, convolve, widen; each followed by batch norm.

    Args:
        conv_a: To the inner width.
        conv_b: At the inner width.
        conv_c: To the outer width.
        norm_b: What follows `conv_b`.
        act_b: What follows `norm_b`.
    """
    return nn.Sequential(
        OrderedDict(
            conv_a=conv_a,
            norm_a=nn.BatchNorm3d(conv_a.out_channels),
            act_a=nn.ReLU(inplace=True),
            conv_b=conv_b,
            norm_b=norm_b,
            act_b=act_b,
            conv_c=conv_c,
            norm_c=nn.BatchNorm3d(conv_c.out_channels),
        )
    )


def stage(blocks: Iterable[nn.Module]) -> nn.Sequential:
    """Blocks one after the other, under their published name."""
    return nn.Sequential(OrderedDict(res_blocks=nn.Sequential(*blocks)))


def initialise(network: nn.Module) -> None:
    """Draw the weights of convolutions as He et al. (ICCV 2015) do; blocks begin as shortcuts."""
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, Residual):
            nn.init.zeros_(module.branch2.get_parameter("norm_c.weight"))
