"""MNASNet: inverted bottlenecks whose shapes were searched for with the speed on a telephone.

Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", CVPR 2019.
torchvision's networks.
"""

from collections import OrderedDict

import torchvision
from torch import nn

from pipeline.networks.backbones.contract import Backbone, PublishedWeights
from pipeline.networks.backbones.fold import fold
from pipeline.networks.backbones.torchvision_weights import torchvision_weights

NAMES: tuple[str, ...] = tuple(f"mnasnet{width}" for width in ("0_5", "0_75", "1_0", "1_3"))


def build(name: str) -> Backbone:
    """An untrained MNASNet; its features are the average over the last feature map."""
    made = torchvision.models.get_model(name, weights=None)
    network = nn.Sequential(
        OrderedDict(layers=made.layers, avgpool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    )
    return Backbone(
        name=name,
        network=network,
        dim=made.classifier[-1].in_features,
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: list(network.get_submodule("layers").children()),
        pool=network[1:],
        classifier_keys=("classifier.",),
        fold=fold,
        maps=lambda last: last,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes."""
    return torchvision_weights(name)
