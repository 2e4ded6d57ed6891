"""RegNet: networks whose widths and depths follow one quantised line; Y has squeeze and excitation.

Radosavovic et al., "Designing Network Design Spaces", CVPR 2020. torchvision's networks.
"""

from collections import OrderedDict

import torchvision
from torch import nn

from pipeline.networks.backbones.contract import Backbone, PublishedWeights
from pipeline.networks.backbones.fold import fold
from pipeline.networks.backbones.torchvision_weights import torchvision_weights

_SIZES = ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")
NAMES: tuple[str, ...] = (
    *(f"regnet_x_{size}" for size in _SIZES),
    *(f"regnet_y_{size}" for size in (*_SIZES, "128gf")),
)


def build(name: str) -> Backbone:
    """An untrained RegNet; its features are the average over the last feature map."""
    made = torchvision.models.get_model(name, weights=None)
    network = nn.Sequential(
        OrderedDict(
            stem=made.stem,
            trunk_output=made.trunk_output,
            avgpool=made.avgpool,
            flatten=nn.Flatten(),
        )
    )
    return Backbone(
        name=name,
        network=network,
        dim=made.fc.in_features,
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: [network[0], *network.get_submodule("trunk_output").children()],
        pool=network[2:],
        classifier_keys=("fc.",),
        fold=fold,
        # The average over the last map: in 8 bits it would have 256 levels.
        in_full=("avgpool",),
        maps=lambda last: last,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes."""
    return torchvision_weights(name)
