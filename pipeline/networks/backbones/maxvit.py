"""MaxViT: convolutions, then attention within windows and over a grid, in every block.

Tu et al., "MaxViT: Multi-Axis Vision Transformer", ECCV 2022. torchvision's network. Its grids are
laid out for images of 224 pixels, and it takes no others.
"""

from collections import OrderedDict

import torchvision
from torch import nn

from pipeline.networks.backbones.contract import Backbone, PublishedWeights
from pipeline.networks.backbones.torchvision_weights import torchvision_weights

NAMES: tuple[str, ...] = ("maxvit_t",)


def build(name: str) -> Backbone:
    """An untrained MaxViT; its features are the average over the last map, normalised.

    The layer norm stands in the classifier, as its name in published files says; the linear layer
    and the tanh behind it are left out with the classes.
    """
    made = torchvision.models.get_model(name, weights=None)
    norm = made.classifier[2]
    network = nn.Sequential(
        OrderedDict(
            stem=made.stem, blocks=nn.Sequential(*made.blocks), classifier=made.classifier[:3]
        )
    )
    return Backbone(
        name=name,
        network=network,
        dim=norm.normalized_shape[0],
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: [network[0], *network.get_submodule("blocks").children()],
        pool=network[2],
        classifier_keys=("classifier.3.", "classifier.5."),
        maps=lambda last: last,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes."""
    return torchvision_weights(name)
