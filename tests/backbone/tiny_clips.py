"""A backbone of a few weights that reads clips, with batch norm over them."""

from torch import nn

from pipeline.networks.backbones.contract import Backbone, ClipSize
from pipeline.networks.backbones.transform import Transform

NAMES = ("tiny_3d",)
DIM = 16


class TimeSecond(nn.Module):
    def forward(self, clips):
        return clips.transpose(1, 2)


def build(name, frames):
    network = nn.Sequential()
    network.append(TimeSecond())
    network.append(nn.Conv3d(3, 8, (1, 5, 5), stride=(1, 4, 4), padding=(0, 2, 2)))
    network.append(nn.BatchNorm3d(8))
    network.append(nn.ReLU())
    network.append(nn.Conv3d(8, DIM, 3, padding=1))
    pool = nn.Sequential(nn.AdaptiveMaxPool3d(1), nn.Flatten())
    network.append(pool)
    return Backbone(
        name=f"{name}@{frames}",
        network=network,
        dim=DIM,
        transform=Transform(32, 32, "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        blocks=lambda: list(network)[:-1],
        pool=pool,
        classifier_keys=("fc.",),
        clip_frames=frames,
    )


def published(name):
    return {}


def clip_size(name):
    return ClipSize(4, 1.0)
