"""S3D: Inception modules whose convolutions are split into space and time.

Xie et al., "Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video
Classification", ECCV 2018. torchvision's network, but averaged over the whole last map, whatever
its size; torchvision averages over windows of 2 x 7 x 7 and then over those, which is the same for
crops of 224 and 13 to 20 frames. Upstream stretches images to a square; here they keep their
proportions.
"""

from collections import OrderedDict

import torchvision
from torch import nn

from pipeline.networks.backbones.clip_input import ChannelsFirst, check_length
from pipeline.networks.backbones.contract import Backbone, ClipSize, PublishedWeights
from pipeline.networks.backbones.fold3d import fold3d
from pipeline.networks.backbones.torchvision_weights import torchvision_weights

NAMES: tuple[str, ...] = ("s3d",)

# Time is halved three times, the third time rounding down.
_LEAST_FRAMES = 5


def build(name: str, frames: int) -> Backbone:
    """An untrained S3D; its features are the average over the last feature map.

    Raises:
        ValueError: Fewer frames than it needs.
    """
    check_length(name, frames, least=_LEAST_FRAMES)
    made = torchvision.models.get_model(name, weights=None)
    features: nn.Sequential = made.features
    network = nn.Sequential(
        OrderedDict(
            channels_first=ChannelsFirst(),
            features=features,
            avgpool=nn.AdaptiveAvgPool3d(1),
            flatten=nn.Flatten(),
        )
    )
    return Backbone(
        name=f"{name}@{frames}",
        network=network,
        dim=made.classifier[-1].in_channels,
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: [nn.Sequential(network[0], features[0]), *features[1:]],
        pool=network[-2:],
        classifier_keys=("classifier.",),
        fold=fold3d,
        maps=lambda last: last,
        clip_frames=frames,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes."""
    return torchvision_weights(name)


def clip_size(name: str) -> ClipSize:
    """As the published accuracy was measured."""
    return ClipSize(frames=128, stride_s=1 / 15)
