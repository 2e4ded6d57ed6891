"""ShuffleNet V2: halves of the channels are convolved in turns and shuffled between.

Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", ECCV 2018.
torchvision's networks.
"""

from collections import OrderedDict

import torchvision
from torch import nn

from pipeline.networks.backbones.contract import Backbone, PublishedWeights
from pipeline.networks.backbones.fold import fold
from pipeline.networks.backbones.torchvision_weights import torchvision_weights

NAMES: tuple[str, ...] = tuple(f"shufflenet_v2_x{width}" for width in ("0_5", "1_0", "1_5", "2_0"))

_BLOCKS = ("conv1", "maxpool", "stage2", "stage3", "stage4", "conv5")


def build(name: str) -> Backbone:
    """An untrained ShuffleNet; its features are the average over the last feature map."""
    made = torchvision.models.get_model(name, weights=None)
    network = nn.Sequential(
        OrderedDict(
            [(block, made.get_submodule(block)) for block in _BLOCKS],
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
        )
    )
    return Backbone(
        name=name,
        network=network,
        dim=made.fc.in_features,
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: [network.get_submodule(block) for block in _BLOCKS],
        pool=network[len(_BLOCKS) :],
        classifier_keys=("fc.",),
        fold=fold,
        # The average over the last map: in 8 bits it would have 256 levels.
        in_full=("avgpool",),
        maps=lambda last: last,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes."""
    return torchvision_weights(name)
