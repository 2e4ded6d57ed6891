"""Video Swin: attention within windows of space and time that are shifted from layer to layer.

Liu et al., "Video Swin Transformer", CVPR 2022. torchvision's networks, with torchvision's own
attention, which adds a bias per pair of positions. Clips and crops of any size are padded to whole
windows.
"""

from collections import OrderedDict

import torch
import torchvision
from torch import nn

from pipeline.networks.backbones.clip_input import ChannelsFirst, check_length
from pipeline.networks.backbones.contract import Backbone, ClipSize, PublishedWeights
from pipeline.networks.backbones.torchvision_weights import torchvision_weights

NAMES: tuple[str, ...] = ("swin3d_t", "swin3d_s", "swin3d_b")


def build(name: str, frames: int) -> Backbone:
    """An untrained Video Swin; its features are the average over all tokens, normalised."""
    check_length(name, frames)
    made = torchvision.models.get_model(name, weights=None)
    features: nn.Sequential = made.features
    channels_second = ChannelsSecond()
    network = nn.Sequential(
        OrderedDict(
            channels_first=ChannelsFirst(),
            patch_embed=made.patch_embed,
            features=features,
            norm=made.norm,
            channels_second=channels_second,
            avgpool=made.avgpool,
            flatten=nn.Flatten(),
        )
    )
    return Backbone(
        name=f"{name}@{frames}",
        network=network,
        dim=made.num_features,
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: [network[:2], *features],
        pool=network[-4:],
        classifier_keys=("head.",),
        maps=channels_second,
        clip_frames=frames,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes."""
    return torchvision_weights(name)


def clip_size(name: str) -> ClipSize:
    """Every second frame of 30 per second."""
    return ClipSize(frames=32, stride_s=1 / 15)


class ChannelsSecond(nn.Module):
    """Tokens (B, l, h, w, C) to a map (B, C, l, h, w)."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The same memory, seen with other axes."""
        return tokens.movedim(-1, 1)
