"""ConvNeXt: a convolutional network with the proportions and norms of a transformer.

Liu et al., "A ConvNet for the 2020s", CVPR 2022. torchvision's networks.
"""

from collections import OrderedDict

import torchvision
from torch import nn

from pipeline.networks.backbones.contract import Backbone, PublishedWeights
from pipeline.networks.backbones.torchvision_weights import torchvision_weights

NAMES: tuple[str, ...] = tuple(f"convnext_{size}" for size in ("tiny", "small", "base", "large"))


def build(name: str) -> Backbone:
    """An untrained ConvNeXt; its features are the average over the last map, normalised.

    The layer norm stands in the classifier, as its name in published files says, but before its
    only linear layer: it belongs to the features.
    """
    made = torchvision.models.get_model(name, weights=None)
    norm, flatten, linear = made.classifier
    network = nn.Sequential(
        OrderedDict(
            features=made.features,
            avgpool=made.avgpool,
            classifier=nn.Sequential(norm, flatten),
        )
    )
    return Backbone(
        name=name,
        network=network,
        dim=linear.in_features,
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: list(network.get_submodule("features").children()),
        pool=network[1:],
        classifier_keys=("classifier.2.",),
        maps=lambda last: last,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes."""
    return torchvision_weights(name)
