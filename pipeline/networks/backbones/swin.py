"""Swin: attention within windows, which are shifted from layer to layer, and V2, which scales it.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021,
and "Swin Transformer V2: Scaling Up Capacity and Resolution", CVPR 2022. torchvision's networks.
"""

from collections import OrderedDict

import torchvision
from torch import nn

from pipeline.networks.backbones.contract import Backbone, PublishedWeights
from pipeline.networks.backbones.torchvision_weights import torchvision_weights

NAMES: tuple[str, ...] = ("swin_t", "swin_s", "swin_b", "swin_v2_t", "swin_v2_s", "swin_v2_b")


def build(name: str) -> Backbone:
    """An untrained Swin; its features are the average over the last map, after its layer norm."""
    made = torchvision.models.get_model(name, weights=None)
    network = nn.Sequential(
        OrderedDict(
            features=made.features,
            norm=made.norm,
            permute=made.permute,
            avgpool=made.avgpool,
            flatten=made.flatten,
        )
    )
    return Backbone(
        name=name,
        network=network,
        dim=made.head.in_features,
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: list(network.get_submodule("features").children()),
        pool=network[1:],
        classifier_keys=("head.",),
        maps=lambda last: last.permute(0, 3, 1, 2),
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes."""
    return torchvision_weights(name)
