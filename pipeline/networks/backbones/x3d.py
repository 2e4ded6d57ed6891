"""X3D: a small image network that was widened, deepened and lengthened step by step.

Feichtenhofer, "X3D: Expanding Architectures for Efficient Video Recognition", CVPR 2020. Tensors
have the names of PyTorchVideo's files. The last pooling is over the whole map, whatever its size;
upstream it has the size of the published clip.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn

from pipeline.networks.backbones.bottleneck3d import (
    POINT,
    Residual,
    Size,
    bottleneck,
    convolution,
    initialise,
    stage,
)
from pipeline.networks.backbones.clip_input import ChannelsFirst, check_length
from pipeline.networks.backbones.contract import Backbone, ClipSize, PublishedWeights
from pipeline.networks.backbones.fold3d import fold3d
from pipeline.networks.backbones.pytorchvideo_weights import kinetics_weights, transform_of

NAMES: tuple[str, ...] = ("x3d_xs", "x3d_s", "x3d_m", "x3d_l")

_STEM = 24
# Outer and inner width, and those to which squeeze and excitation narrows the inner one.
_WIDTHS = ((24, 54, 8), (48, 108, 8), (96, 216, 16), (192, 432, 32))
_DIM = 2048


@dataclass(frozen=True)
class _Published:
    depths: tuple[int, int, int, int]
    frames: int
    every: int  # of 30 frames per second
    resize_px: int
    crop_px: int


_PUBLISHED = {
    "x3d_xs": _Published((3, 5, 11, 7), 4, 12, 182, 160),
    "x3d_s": _Published((3, 5, 11, 7), 13, 6, 182, 160),
    "x3d_m": _Published((3, 5, 11, 7), 16, 5, 256, 224),
    "x3d_l": _Published((5, 10, 25, 15), 16, 5, 356, 312),
}


def build(name: str, frames: int) -> Backbone:
    """An untrained X3D; its features are those before the last layer, after its ReLU."""
    check_length(name, frames)
    dims_in = (_STEM, *(outer for outer, _, _ in _WIDTHS))
    stages = [
        _stage(depth, dim_in, *widths)
        for depth, dim_in, widths in zip(_PUBLISHED[name].depths, dims_in, _WIDTHS, strict=False)
    ]
    blocks = nn.Sequential(_stem(), *stages, _head(*_WIDTHS[-1][:2]))
    network = nn.Sequential(OrderedDict(channels_first=ChannelsFirst(), blocks=blocks))
    initialise(network)
    return Backbone(
        name=f"{name}@{frames}",
        network=network,
        dim=_DIM,
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: [nn.Sequential(network[0], blocks[0]), *blocks[1:-1]],
        pool=blocks[-1],
        classifier_keys=("blocks.5.proj.",),
        fold=fold3d,
        maps=lambda last: last,
        clip_frames=frames,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights of PyTorchVideo; the resize is the smaller one of their training."""
    sizes = _PUBLISHED[name]
    transform = transform_of(sizes.resize_px, sizes.crop_px)
    return kinetics_weights(f"{name.upper()}.pyth", transform)


def clip_size(name: str) -> ClipSize:
    """As in the names of the published settings: 4 x 12, 13 x 6, 16 x 5."""
    sizes = _PUBLISHED[name]
    return ClipSize(frames=sizes.frames, stride_s=sizes.every / 30)


class SqueezeExcitation(nn.Module):
    """Weighs channels by what is in all of the clip (Hu et al., CVPR 2018).

    Args:
        dim: Channels.
        narrow: Channels between the two layers.
    """

    def __init__(self, dim: int, narrow: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv3d(dim, narrow, 1),
            nn.ReLU(inplace=True),
            nn.Conv3d(narrow, dim, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, dim, l, h, w) to the same."""
        weights: torch.Tensor = self.block(x.mean(dim=(2, 3, 4), keepdim=True))
        return x * weights


def _stem() -> nn.Sequential:
    # The published names of the two are exchanged: conv_t goes through space, conv_xy through time.
    conv = nn.Sequential(
        OrderedDict(
            conv_t=convolution(3, _STEM, (1, 3, 3), (1, 2, 2)),
            conv_xy=convolution(_STEM, _STEM, (5, 1, 1), groups=_STEM),
        )
    )
    return nn.Sequential(
        OrderedDict(
            conv=conv,
            norm=nn.BatchNorm3d(_STEM),
            activation=nn.ReLU(inplace=True),
        )
    )


def _stage(depth: int, dim_in: int, outer: int, inner: int, narrow: int) -> nn.Sequential:
    blocks = []
    for row in range(depth):
        stride: Size = (1, 2, 2) if row == 0 else POINT
        before = dim_in if row == 0 else outer
        # Every second block weighs its channels.
        excitation = SqueezeExcitation(inner, narrow) if row % 2 == 0 else nn.Identity()
        branch = bottleneck(
            conv_a=convolution(before, inner, POINT),
            conv_b=convolution(inner, inner, (3, 3, 3), stride, groups=inner),
            conv_c=convolution(inner, outer, POINT),
            norm_b=nn.Sequential(nn.BatchNorm3d(inner), excitation),
            act_b=nn.SiLU(inplace=True),
        )
        blocks.append(Residual(branch, before, outer, stride, norm=before != outer))
    return stage(blocks)


def _head(outer: int, inner: int) -> nn.Sequential:
    pool = nn.Sequential(
        OrderedDict(
            pre_conv=convolution(outer, inner, POINT),
            pre_norm=nn.BatchNorm3d(inner),
            pre_act=nn.ReLU(inplace=True),
            pool=nn.AdaptiveAvgPool3d(1),
            post_conv=convolution(inner, _DIM, POINT),
            post_act=nn.ReLU(inplace=True),
        )
    )
    return nn.Sequential(OrderedDict(pool=pool, flatten=nn.Flatten()))
