"""ResNets with fewer channels: `pruned/resnet50-30` is a ResNet-50 without 30 % of them.

Channels go inside the residual blocks only, the same share in every layer, as for residual networks
in Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017. What blocks add to each other
keeps its width, so the features keep their length. The name alone says how wide every layer is: no
list of widths travels with the weights. Those come from `python -m pipeline compress prune`.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from pipeline.networks.backbones import resnet
from pipeline.networks.backbones.contract import Backbone, PublishedWeights

PREFIX = "pruned/"
PRUNABLE: tuple[str, ...] = (*resnet.NAMES, "wide_resnet50_2", "wide_resnet101_2")
"""Networks that can lose channels. Those of grouped convolutions cannot: a group would go with each
channel."""
LEAST_PERCENT, MOST_PERCENT = 5, 90
NAMES: tuple[str, ...] = ("pruned/resnet18-30", "pruned/resnet50-30")

_NAME = re.compile(r"pruned/(?P<original>\w+)-(?P<percent>\d\d?)")
# Processors compute so many channels at a time; a width between two multiples is no faster than
# the larger one.
_MULTIPLE = 8


def pruned_name(original: str, percent: int) -> str:
    """The name of a network without this share of its channels.

    Args:
        original: Of the whole network.
        percent: From LEAST_PERCENT to MOST_PERCENT.
    """
    return f"{PREFIX}{original}-{percent}"


def parts_of(name: str) -> tuple[str, int]:
    """The name of the whole network, and the share of the channels that it lost, in percent.

    Raises:
        ValueError: It is no such name; says what is allowed.

    >>> parts_of("pruned/resnet50-30")
    ('resnet50', 30)
    """
    found = _NAME.fullmatch(name)
    if found is None or found["original"] not in PRUNABLE:
        raise ValueError(
            f"found {name!r}. Allowed: {PREFIX}<network>-<percent of channels removed>, such as "
            f"{NAMES[-1]}, with one of {', '.join(PRUNABLE)}"
        )
    percent = int(found["percent"])
    if not LEAST_PERCENT <= percent <= MOST_PERCENT:
        raise ValueError(f"found {name!r}. Allowed: {LEAST_PERCENT} to {MOST_PERCENT} percent")
    return found["original"], percent


def kept(width: int, percent: int) -> int:
    """How many of a layer's channels stay: the nearest multiple of 8, and 8 at least.

    >>> kept(64, 30), kept(512, 30)
    (48, 360)
    """
    return max(_MULTIPLE, _MULTIPLE * round(width * (100 - percent) / 100 / _MULTIPLE))


def inner_layers(network: nn.Module) -> Iterator[tuple[str, str, str]]:
    """Every convolution inside a residual block, with the batch norm and the convolution after it.

    Args:
        network: A ResNet of torchvision.

    Yields:
        Names of the three, from the image to the top.
    """
    for name, block in network.named_modules():
        if isinstance(block, BasicBlock | Bottleneck):
            yield f"{name}.conv1", f"{name}.bn1", f"{name}.conv2"
        if isinstance(block, Bottleneck):
            yield f"{name}.conv2", f"{name}.bn2", f"{name}.conv3"


def build(name: str) -> Backbone:
    """An untrained ResNet of this many channels; its features are as long as the whole one's.

    Raises:
        ValueError: It is no such name.
    """
    original, percent = parts_of(name)
    backbone = resnet.build(original)
    network = backbone.network
    for conv, norm, after in list(inner_layers(network)):
        width = kept(_conv(network, conv).out_channels, percent)
        network.set_submodule(conv, _drawn(_conv(network, conv), out_channels=width))
        network.set_submodule(norm, nn.BatchNorm2d(width))
        network.set_submodule(after, _drawn(_conv(network, after), in_channels=width))
    return replace(backbone, name=name)


def published(name: str) -> dict[str, PublishedWeights]:
    """None: their weights are made from those of the whole network."""
    return {}


def _conv(network: nn.Module, name: str) -> nn.Conv2d:
    module = network.get_submodule(name)
    assert isinstance(module, nn.Conv2d)
    return module


def _drawn(
    like: nn.Conv2d, in_channels: int | None = None, out_channels: int | None = None
) -> nn.Conv2d:
    """A convolution with other numbers of channels, drawn as torchvision draws a ResNet's."""
    height, width = like.kernel_size
    conv = nn.Conv2d(
        in_channels or like.in_channels,
        out_channels or like.out_channels,
        (height, width),
        stride=like.stride,  # type: ignore[arg-type]
        padding=like.padding,  # type: ignore[arg-type]
        bias=False,
    )
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv
