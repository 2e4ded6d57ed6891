"""ResNets whose convolutions also go through time, whole (R3D), below (MC3) or split (R(2+1)D).

Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018.
torchvision's networks. R(2+1)D with 34 layers is that of Ghadiyaram et al., "Large-Scale
Weakly-Supervised Pre-Training for Video Action Recognition", CVPR 2019: the second convolution of
a block that halves the clip has the middle width of its own input, where torchvision takes that of
the block's, and its batch norms add 1e-3 to the variance.

Upstream stretches images to 171 x 128 before the crop of 112; here they keep their proportions.
"""

from collections import OrderedDict
from functools import partial

import torch
import torchvision
from torch import nn
from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D, R2Plus1dStem, VideoResNet

from pipeline.networks.backbones.clip_input import ChannelsFirst, check_length
from pipeline.networks.backbones.contract import Backbone, ClipSize, PublishedWeights
from pipeline.networks.backbones.fold3d import fold3d
from pipeline.networks.backbones.torchvision_weights import torchvision_weights
from pipeline.networks.backbones.transform import Transform

NAMES: tuple[str, ...] = ("r2plus1d_18", "r3d_18", "mc3_18", "r2plus1d_34")

_STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")
_KINETICS = Transform(
    resize_px=128,
    crop_px=112,
    interpolation="bilinear",
    mean=(0.43216, 0.394666, 0.37645),
    std=(0.22803, 0.22145, 0.216989),
)
_IG65M = "https://github.com/moabitcoin/ig65m-pytorch/releases/download/v1.0.0/r2plus1d_34"
_IG65M_FILES = {
    "IG65M_KINETICS400_32": "clip32_ft_kinetics_from_ig65m-ade133f1.pth",
    "IG65M_KINETICS400_8": "clip8_ft_kinetics_from_ig65m-0aa0550b.pth",
    "IG65M_32": "clip32_ig65m_from_scratch-449a7af9.pth",
    "IG65M_8": "clip8_ig65m_from_scratch-9bae36ae.pth",
}


def build(name: str, frames: int) -> Backbone:
    """An untrained network; its features are the average over the last feature map."""
    check_length(name, frames)
    made = (
        _r2plus1d_34()
        if name == "r2plus1d_34"
        else torchvision.models.get_model(name, weights=None)
    )
    dim = made.fc.in_features
    network = nn.Sequential(
        OrderedDict(
            channels_first=ChannelsFirst(),
            **{stage: made.get_submodule(stage) for stage in _STAGES},
            avgpool=made.avgpool,
            flatten=nn.Flatten(),
        )
    )
    return Backbone(
        name=f"{name}@{frames}",
        network=network,
        dim=dim,
        transform=_KINETICS,
        blocks=lambda: [network[:2], *network[2:-2]],
        pool=network[-2:],
        classifier_keys=("fc.",),
        fold=fold3d,
        maps=lambda last: last,
        clip_frames=frames,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes, and ported ones for 34 layers."""
    if name != "r2plus1d_34":
        return torchvision_weights(name)
    urls = {label: f"{_IG65M}_{file}" for label, file in _IG65M_FILES.items()}
    return {
        label: PublishedWeights(
            url=url,
            transform=_KINETICS,
            fetch=partial(
                torch.hub.load_state_dict_from_url,
                url,
                map_location="cpu",
                check_hash=True,
                weights_only=True,
            ),
        )
        for label, url in urls.items()
    }


def clip_size(name: str) -> ClipSize:
    """15 frames per second; the rate for 34 layers is not documented and taken to be the same."""
    return ClipSize(frames=32 if name == "r2plus1d_34" else 16, stride_s=1 / 15)


def _r2plus1d_34() -> VideoResNet:
    network = VideoResNet(BasicBlock, [Conv2Plus1D] * 4, [3, 4, 6, 3], R2Plus1dStem)
    for stage, planes, midplanes in (
        (network.layer2, 128, 288),
        (network.layer3, 256, 576),
        (network.layer4, 512, 1152),
    ):
        stage[0].conv2[0] = Conv2Plus1D(planes, planes, midplanes)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.eps = 1e-3
    return network
