"""DenseNet: every layer of a block reads the maps of all layers before it.

Huang et al., "Densely Connected Convolutional Networks", CVPR 2017. torchvision's networks.
"""

import re
from collections import OrderedDict

import torchvision
from torch import nn

from pipeline.networks.backbones.contract import Backbone, PublishedWeights, Tensors
from pipeline.networks.backbones.fold import fold
from pipeline.networks.backbones.torchvision_weights import torchvision_weights

NAMES: tuple[str, ...] = ("densenet121", "densenet161", "densenet169", "densenet201")

_OLD = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])")


def build(name: str) -> Backbone:
    """An untrained DenseNet; its features are the average over the last map, after its ReLU."""
    made = torchvision.models.get_model(name, weights=None)
    network = nn.Sequential(
        OrderedDict(
            features=made.features,
            relu=nn.ReLU(inplace=True),
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
        )
    )
    return Backbone(
        name=name,
        network=network,
        dim=made.classifier.in_features,
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: list(network.get_submodule("features").children()),
        pool=network[1:],
        classifier_keys=("classifier.",),
        translate=_today,
        fold=fold,
        # The average over the last map: in 8 bits it would have 256 levels.
        in_full=("avgpool",),
        maps=lambda last: last.relu(),
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes."""
    return torchvision_weights(name)


def _today(tensors: Tensors) -> Tensors:
    """Published in 2017, when the layers of a block were called norm.1, where now it is norm1."""
    return {_OLD.sub(r"\1\2", key): value for key, value in tensors.items()}
