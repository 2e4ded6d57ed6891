"""ResNet: convolutions around which the input is carried past and added.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. torchvision's networks, which
halve the image in the 3x3 convolution of a bottleneck and not in the 1x1 before it ("ResNet v1.5").
"""

import torchvision
from torch import nn

from pipeline.networks.backbones.contract import Backbone, PublishedWeights
from pipeline.networks.backbones.fold import fold
from pipeline.networks.backbones.torchvision_weights import torchvision_weights

NAMES: tuple[str, ...] = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")

# From the image to the top: the stem, whose ReLU and pooling have no weights, and four stages.
_BLOCKS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


def build(name: str) -> Backbone:
    """An untrained ResNet; its features are the average over the last feature map."""
    network = torchvision.models.get_model(name, weights=None)
    dim = network.fc.in_features
    network.fc = nn.Identity()
    return Backbone(
        name=name,
        network=network,
        dim=dim,
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: [network.get_submodule(block) for block in _BLOCKS],
        pool=nn.Sequential(network.avgpool, nn.Flatten()),
        classifier_keys=("fc.",),
        fold=fold,
        # The average over the last map: in 8 bits it would have 256 levels.
        in_full=("avgpool",),
        maps=lambda last: last,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes."""
    return torchvision_weights(name)
