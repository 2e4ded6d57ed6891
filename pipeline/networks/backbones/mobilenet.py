"""MobileNet V2 and V3: inverted bottlenecks of depthwise convolutions, for small processors.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018; Howard et al.,
"Searching for MobileNetV3", ICCV 2019. torchvision's networks. The features of V3 are those before
the wide layer of its classifier.
"""

from collections import OrderedDict

import torchvision
from torch import nn

from pipeline.networks.backbones.contract import Backbone, PublishedWeights
from pipeline.networks.backbones.fold import fold
from pipeline.networks.backbones.torchvision_weights import torchvision_weights

NAMES: tuple[str, ...] = ("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large")


def build(name: str) -> Backbone:
    """An untrained MobileNet; its features are the average over the last feature map."""
    made = torchvision.models.get_model(name, weights=None)
    (wide,) = [module for module in made.classifier if isinstance(module, nn.Linear)][:1]
    network = nn.Sequential(
        OrderedDict(features=made.features, avgpool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    )
    return Backbone(
        name=name,
        network=network,
        dim=wide.in_features,
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: list(network.get_submodule("features").children()),
        pool=network[1:],
        classifier_keys=("classifier.",),
        fold=fold,
        maps=lambda last: last,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes."""
    return torchvision_weights(name)
