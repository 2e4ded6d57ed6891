"""R(2+1)D with bottlenecks: each 3D convolution is one through time and then one through space.

Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018.
Tensors have the names of PyTorchVideo's file, whose network has 50 layers, no pooling after the
first convolution, and time before space where the paper has space first. The last pooling is over
the whole map, whatever its size. Networks of 18 and 34 layers are in video_resnet.py.
"""

from collections import OrderedDict

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

NAMES: tuple[str, ...] = ("r2plus1d_50",)

_STEM = 64
# Depth, outer width and stride of each stage; the inner width is a quarter of the outer one.
_STAGES: tuple[tuple[int, int, Size], ...] = (
    (3, 256, (1, 2, 2)),
    (4, 512, (1, 2, 2)),
    (6, 1024, (2, 2, 2)),
    (3, 2048, (2, 2, 2)),
)


def build(name: str, frames: int) -> Backbone:
    """An untrained R(2+1)D; its features are the average over the last feature map."""
    check_length(name, frames)
    blocks = nn.Sequential(_stem())
    before = _STEM
    for depth, outer, stride in _STAGES:
        blocks.append(_stage(depth, before, outer, stride))
        before = outer
    network = nn.Sequential(
        OrderedDict(
            channels_first=ChannelsFirst(),
            blocks=blocks,
            avgpool=nn.AdaptiveAvgPool3d(1),
            flatten=nn.Flatten(),
        )
    )
    initialise(network)
    return Backbone(
        name=f"{name}@{frames}",
        network=network,
        dim=before,
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: [nn.Sequential(network[0], blocks[0]), *blocks[1:]],
        pool=network[-2:],
        classifier_keys=("blocks.5.proj.",),
        fold=fold3d,
        maps=lambda last: last,
        clip_frames=frames,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights of PyTorchVideo; resize and crop are those of their training."""
    return kinetics_weights("R2PLUS1D_16x4_R50.pyth", transform_of(256, 224))


def clip_size(name: str) -> ClipSize:
    """Every fourth frame of 30 per second."""
    return ClipSize(frames=16, stride_s=4 / 30)


def _stem() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv=convolution(3, _STEM, (1, 7, 7), (1, 2, 2)),
            norm=nn.BatchNorm3d(_STEM),
            activation=nn.ReLU(inplace=True),
        )
    )


def _stage(depth: int, dim_in: int, outer: int, stride: Size) -> nn.Sequential:
    inner = outer // 4
    blocks = []
    for row in range(depth):
        before = dim_in if row == 0 else outer
        step = stride if row == 0 else POINT
        branch = bottleneck(
            conv_a=convolution(before, inner, POINT),
            conv_b=_split(inner, step),
            conv_c=convolution(inner, outer, POINT),
            norm_b=nn.BatchNorm3d(inner),
            act_b=nn.ReLU(inplace=True),
        )
        blocks.append(Residual(branch, before, outer, step))
    return stage(blocks)


def _split(dim: int, stride: Size) -> nn.Sequential:
    time, height, width = stride
    return nn.Sequential(
        OrderedDict(
            conv_t=convolution(dim, dim, (3, 1, 1), (time, 1, 1)),
            norm=nn.BatchNorm3d(dim),
            activation=nn.ReLU(inplace=True),
            conv_xy=convolution(dim, dim, (1, 3, 3), (1, height, width)),
        )
    )
