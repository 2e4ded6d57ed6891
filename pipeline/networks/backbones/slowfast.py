"""SlowFast: one pathway sees few frames in many channels, the other all frames in few.

Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019. Tensors have the names
of PyTorchVideo's files. Both pathways are fed from the same clip, as published: the fast one takes
all its frames, the slow one L / 4 of them, evenly spread from the first to the last, so that the
latest frame is seen by both. The last pooling is over the whole map, whatever its size.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

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

NAMES: tuple[str, ...] = ("slowfast_r50", "slowfast_r101")

_ALPHA = 4  # Frames of the fast pathway per frame of the slow one.
_BETA = 8  # Channels of the slow pathway per channel of the fast one.
_STEM = 64
# Outer widths of the slow pathway's stages; inner ones are a quarter.
_WIDTHS = (256, 512, 1024, 2048)
# The slow pathway looks through time in its upper half only.
_SLOW_KERNELS = (1, 1, 3, 3)


@dataclass(frozen=True)
class _Published:
    depths: tuple[int, int, int, int]
    fusion_kernel: int
    file: str


_PUBLISHED = {
    "slowfast_r50": _Published((3, 4, 6, 3), 7, "SLOWFAST_8x8_R50.pyth"),
    "slowfast_r101": _Published((3, 4, 23, 3), 5, "SLOWFAST_8x8_R101.pyth"),
}


def build(name: str, frames: int) -> Backbone:
    """An untrained SlowFast; its features are the averages over both last maps, slow first.

    Raises:
        ValueError: The number of frames is no multiple of 4, or below 8.
    """
    check_length(name, frames, least=2 * _ALPHA, multiple_of=_ALPHA)
    sizes = _PUBLISHED[name]
    blocks = nn.Sequential(
        Pathways(_stem(_STEM, 1), _stem(_STEM // _BETA, 5), Fusion(_STEM, sizes.fusion_kernel))
    )
    before = _STEM
    for row, (depth, outer) in enumerate(zip(sizes.depths, _WIDTHS, strict=True)):
        # The slow pathway takes in twice as many channels as the fast one has.
        slow_in = before + 2 * before // _BETA
        stride: Size = POINT if row == 0 else (1, 2, 2)
        last = row == len(_WIDTHS) - 1
        blocks.append(
            Pathways(
                _stage(depth, slow_in, outer, _SLOW_KERNELS[row], stride),
                _stage(depth, before // _BETA, outer // _BETA, 3, stride),
                nn.Identity() if last else Fusion(outer, sizes.fusion_kernel),
            )
        )
        before = outer
    network = nn.Sequential(
        OrderedDict(
            channels_first=ChannelsFirst(), two_rates=TwoRates(frames), blocks=blocks, pool=Pool()
        )
    )
    initialise(network)
    return Backbone(
        name=f"{name}@{frames}",
        network=network,
        dim=_WIDTHS[-1] + _WIDTHS[-1] // _BETA,
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: [nn.Sequential(*network[:2], blocks[0]), *blocks[1:]],
        pool=network[-1],
        classifier_keys=("blocks.6.proj.",),
        fold=fold3d,
        maps=_slow_map,
        clip_frames=frames,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights of PyTorchVideo; resize and crop are those of their training."""
    return kinetics_weights(_PUBLISHED[name].file, transform_of(256, 224))


def clip_size(name: str) -> ClipSize:
    """The slow pathway of setting 8 x 8: 8 frames out of 32, every second of 30 per second."""
    return ClipSize(frames=32, stride_s=2 / 30)


_Maps = tuple[torch.Tensor, torch.Tensor]


class TwoRates(nn.Module):
    """A clip (B, 3, L, H, W) to a pair: L / 4 of its frames, and all.

    Args:
        frames: L.
    """

    def __init__(self, frames: int) -> None:
        super().__init__()
        few = frames // _ALPHA
        self.slow = [row * (frames - 1) // (few - 1) for row in range(few)]

    def forward(self, clips: torch.Tensor) -> _Maps:
        """Frames for the slow pathway, and for the fast one."""
        return clips[:, :, self.slow], clips


class Fusion(nn.Module):
    """Channels of the fast pathway, thinned out in time, join those of the slow one.

    Args:
        slow: Channels of the slow pathway.
        kernel: Frames of the fast pathway that make one.
    """

    def __init__(self, slow: int, kernel: int) -> None:
        super().__init__()
        fast = slow // _BETA
        self.conv_fast_to_slow = convolution(fast, 2 * fast, (kernel, 1, 1), (_ALPHA, 1, 1))
        self.norm = nn.BatchNorm3d(2 * fast)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, maps: _Maps) -> _Maps:
        """The slow map with more channels, and the fast one as it is."""
        slow, fast = maps
        joining = self.activation(self.norm(self.conv_fast_to_slow(fast)))
        return torch.cat([slow, joining], dim=1), fast


class Pathways(nn.Module):
    """A step of both pathways, and what they exchange after it.

    Args:
        slow: The slow pathway's part.
        fast: The fast pathway's part.
        fusion: From both maps to both.
    """

    def __init__(self, slow: nn.Module, fast: nn.Module, fusion: nn.Module) -> None:
        super().__init__()
        self.multipathway_blocks = nn.ModuleList([slow, fast])
        self.multipathway_fusion = fusion

    def forward(self, maps: _Maps) -> _Maps:
        """Slow and fast maps to slow and fast maps."""
        slow, fast = maps
        both = (self.multipathway_blocks[0](slow), self.multipathway_blocks[1](fast))
        fused: _Maps = self.multipathway_fusion(both)
        return fused


class Pool(nn.Module):
    """The averages over both maps, side by side (B, D)."""

    def forward(self, maps: _Maps) -> torch.Tensor:
        """Slow and fast maps to features."""
        slow, fast = maps
        return torch.cat([slow.mean(dim=(2, 3, 4)), fast.mean(dim=(2, 3, 4))], dim=1)


def _slow_map(last: Any) -> torch.Tensor:
    """What the slow pathway saw: 2048 of the 2304 features are its averages."""
    slow: torch.Tensor = last[0]
    return slow


def _stem(dim: int, frames: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv=convolution(3, dim, (frames, 7, 7), (1, 2, 2)),
            norm=nn.BatchNorm3d(dim),
            activation=nn.ReLU(inplace=True),
            pool=nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
        )
    )


def _stage(depth: int, dim_in: int, outer: int, frames: int, stride: Size) -> nn.Sequential:
    inner = outer // 4
    blocks = []
    for row in range(depth):
        before = dim_in if row == 0 else outer
        step = stride if row == 0 else POINT
        branch = bottleneck(
            conv_a=convolution(before, inner, (frames, 1, 1)),
            conv_b=convolution(inner, inner, (1, 3, 3), step),
            conv_c=convolution(inner, outer, POINT),
            norm_b=nn.BatchNorm3d(inner),
            act_b=nn.ReLU(inplace=True),
        )
        blocks.append(Residual(branch, before, outer, step))
    return stage(blocks)
