"""EfficientNet: inverted bottlenecks with squeeze and excitation, scaled in all dimensions at once.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019.
torchvision's networks.
"""

import torchvision
from torch import nn

from pipeline.networks.backbones.contract import Backbone, PublishedWeights
from pipeline.networks.backbones.fold import fold
from pipeline.networks.backbones.torchvision_weights import torchvision_weights

NAMES: tuple[str, ...] = ("efficientnet_b5",)


def build(name: str) -> Backbone:
    """An untrained EfficientNet; its features are the average over the last feature map."""
    network = torchvision.models.get_model(name, weights=None)
    dim = network.classifier[-1].in_features
    network.classifier = nn.Identity()
    return Backbone(
        name=name,
        network=network,
        dim=dim,
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: list(network.features),
        pool=nn.Sequential(network.avgpool, nn.Flatten()),
        classifier_keys=("classifier.",),
        fold=fold,
        # The average over the last map: in 8 bits it would have 256 levels.
        in_full=("avgpool",),
        maps=lambda last: last,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes."""
    return torchvision_weights(name)
