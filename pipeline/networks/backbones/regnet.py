"""RegNet: networks whose widths and depths follow one quantised line; Y has squeeze and excitation.

Radosavovic et al., "Designing Network Design Spaces", CVPR 2020. torchvision's networks.
"""

from collections import OrderedDict
from functools import partial

import torch
import torchvision
from torch import nn
from torchvision.models.regnet import BlockParams

from pipeline.networks.backbones.contract import Backbone, PublishedWeights
from pipeline.networks.backbones.fold import fold
from pipeline.networks.backbones.torchvision_weights import torchvision_weights

# Depth, w_0, w_a, w_m and the width of a group, as torchvision has them.
_LINES = {
    "regnet_x_400mf": (22, 24, 24.48, 2.54, 16),
    "regnet_x_800mf": (16, 56, 35.73, 2.28, 16),
    "regnet_x_1_6gf": (18, 80, 34.01, 2.25, 24),
    "regnet_x_3_2gf": (25, 88, 26.31, 2.25, 48),
    "regnet_x_8gf": (23, 80, 49.56, 2.88, 120),
    "regnet_x_16gf": (22, 216, 55.59, 2.1, 128),
    "regnet_x_32gf": (23, 320, 69.86, 2.0, 168),
    "regnet_y_400mf": (16, 48, 27.89, 2.09, 8),
    "regnet_y_800mf": (14, 56, 38.84, 2.4, 16),
    "regnet_y_1_6gf": (27, 48, 20.71, 2.65, 24),
    "regnet_y_3_2gf": (21, 80, 42.63, 2.66, 24),
    "regnet_y_8gf": (17, 192, 76.82, 2.19, 56),
    "regnet_y_16gf": (18, 200, 106.23, 2.48, 112),
    "regnet_y_32gf": (20, 232, 115.89, 2.53, 232),
    "regnet_y_128gf": (27, 456, 160.83, 2.52, 264),
}
NAMES: tuple[str, ...] = tuple(_LINES)
_SQUEEZE = 0.25  # of Y


def build(name: str) -> Backbone:
    """An untrained RegNet; its features are the average over the last feature map."""
    squeeze = _SQUEEZE if name.startswith("regnet_y") else None
    # torchvision computes the widths with tensors, which the meta device holds none of: so the
    # network is made of the numbers of its line, not by its name.
    with torch.device("cpu"):
        shape = BlockParams.from_init_params(*_LINES[name], se_ratio=squeeze)
    made = torchvision.models.RegNet(shape, norm_layer=partial(nn.BatchNorm2d, eps=1e-5))
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
