"""MViT: a transformer that pools its tokens on the way up, as CNNs halve their maps.

Fan et al., "Multiscale Vision Transformers", ICCV 2021 (v1); Li et al., "MViTv2: Improved
Multiscale Vision Transformers for Classification and Detection", CVPR 2022 (v2). torchvision's
networks, with torchvision's own attention, which v2 gives a bias per pair of positions.

Crops are 224. Published weights are for clips of 16 frames. v1 learns a position for each pair of
frames, so that its weights fit no other length. v2 learns distances, which torchvision stretches or
shrinks to other lengths.
"""

from collections import OrderedDict
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision.models.video.mvit import MultiscaleBlock, PositionalEncoding

from pipeline.networks.backbones.clip_input import ChannelsFirst, OfSize, check_length
from pipeline.networks.backbones.contract import Backbone, ClipSize, PublishedWeights
from pipeline.networks.backbones.torchvision_weights import torchvision_weights

NAMES: tuple[str, ...] = ("mvit_v2_s", "mvit_v1_b")

_Tokens = tuple[torch.Tensor, tuple[int, int, int]]


def build(name: str, frames: int) -> Backbone:
    """An untrained MViT; its features are the class token, normalised.

    Raises:
        ValueError: The number of frames is odd: the first layer takes them in pairs.
    """
    check_length(name, frames, least=2, multiple_of=2)
    made = torchvision.models.get_model(name, weights=None, block=_Block)
    transform = next(iter(published(name).values())).transform
    positions = _positions(made.pos_encoding, frames)
    blocks = nn.Sequential(*made.blocks)
    network = nn.Sequential(
        OrderedDict(
            size=OfSize(frames, transform.crop_px),
            channels_first=ChannelsFirst(),
            conv_proj=made.conv_proj,
            to_tokens=_ToTokens(),
            pos_encoding=positions,
            with_grid=_WithGrid(positions),
            blocks=blocks,
            class_token=_ClassToken(),
            norm=made.norm,
        )
    )
    return Backbone(
        name=f"{name}@{frames}",
        network=network,
        dim=made.head[-1].in_features,
        transform=transform,
        blocks=lambda: [network[:6], *blocks],
        pool=network[-2:],
        classifier_keys=("head.",),
        maps=_as_map,
        clip_frames=frames,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes, all for clips of 16 frames."""
    return torchvision_weights(name)


def clip_size(name: str) -> ClipSize:
    """Every fourth frame of 30 per second."""
    return ClipSize(frames=16, stride_s=4 / 30)


def _positions(made: PositionalEncoding, frames: int) -> PositionalEncoding:
    """The class token and positions for another length than 16 frames."""
    (dim,) = made.class_token.shape
    relative = made.spatial_pos is None
    positions = PositionalEncoding(dim, made.spatial_size, frames // 2, relative)
    for parameter in positions.parameters():
        nn.init.trunc_normal_(parameter, std=0.02)
    return positions


class _Block(MultiscaleBlock):  # type: ignore[misc]
    """torchvision's block, from tokens with their grid to the same, so that blocks make a chain."""

    def forward(self, tokens: _Tokens) -> _Tokens:
        pooled: _Tokens = super().forward(*tokens)
        return pooled


class _ToTokens(nn.Module):
    """A map (B, C, l, h, w) to tokens (B, l h w, C)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2).transpose(1, 2)


class _WithGrid(nn.Module):
    """Tokens to a pair of them and the grid (l, h, w) in which they lie."""

    def __init__(self, positions: PositionalEncoding) -> None:
        super().__init__()
        self.grid = (positions.temporal_size, *positions.spatial_size)

    def forward(self, tokens: torch.Tensor) -> _Tokens:
        return tokens, self.grid


class _ClassToken(nn.Module):
    """Tokens with their grid to the first token (B, C)."""

    def forward(self, tokens: _Tokens) -> torch.Tensor:
        return tokens[0][:, 0]


def _as_map(last: Any) -> torch.Tensor:
    """(B, C, l, h, w) without the class token."""
    tokens, (length, height, width) = last
    of_grid: torch.Tensor = tokens[:, 1:].transpose(1, 2)
    return of_grid.reshape(len(of_grid), -1, length, height, width)
