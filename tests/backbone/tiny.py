"""Two backbones of a few weights: one with batch norm, one with the parts of a transformer."""

import torch
from torch import nn

from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.transform import Transform

NAMES = ("tiny_cnn", "tiny_vit")
DIM = 16


def build(name):
    network = {"tiny_cnn": Cnn, "tiny_vit": Vit}[name]()
    return Backbone(
        name=name,
        network=network,
        dim=DIM,
        transform=Transform(256, 224, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        blocks=network.blocks,
        pool=network.pool if name == "tiny_cnn" else nn.Sequential(network.norm, Mean()),
        classifier_keys=("fc.",),
        maps=(lambda last: last) if name == "tiny_cnn" else None,
    )


def published(name):
    return {}


class Cnn(nn.Module):
    """Batch norm both as a block and within one."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 5, stride=4, padding=2)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.layer1 = nn.Sequential(
            nn.Conv2d(8, DIM, 3, stride=2, padding=1), nn.BatchNorm2d(DIM), nn.ReLU()
        )
        self.layer2 = nn.Sequential(nn.Conv2d(DIM, DIM, 3, padding=1), nn.BatchNorm2d(DIM))
        self.pool = nn.Sequential(nn.AdaptiveMaxPool2d((1, 1)), nn.Flatten())

    def blocks(self):
        return [self.conv1, self.bn1, self.relu, self.layer1, self.layer2]

    def forward(self, images):
        for block in self.blocks():
            images = block(images)
        return self.pool(images)


class Embed(nn.Module):
    """Patches with their positions; holds weights that have other names in the network."""

    def __init__(self, conv, positions):
        super().__init__()
        self.conv = conv
        self.positions = positions

    def forward(self, images):
        return self.conv(images).flatten(2).transpose(1, 2) + self.positions


class Mix(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(DIM)
        self.linear = nn.Linear(DIM, DIM)

    def forward(self, tokens):
        return tokens + torch.relu(self.linear(self.norm(tokens)))


class Vit(nn.Module):
    """No batch norm; the last norm stands above the blocks."""

    def __init__(self):
        super().__init__()
        self.conv_proj = nn.Conv2d(3, DIM, 8, stride=8)
        self.positions = nn.Parameter(torch.randn(1, 16, DIM) / 10)
        self.layer1, self.layer2 = Mix(), Mix()
        self.norm = nn.LayerNorm(DIM)

    def blocks(self):
        return [Embed(self.conv_proj, self.positions), self.layer1, self.layer2]

    def forward(self, images):
        for block in self.blocks():
            images = block(images)
        return self.norm(images).mean(dim=1)


class Mean(nn.Module):
    def forward(self, tokens):
        return tokens.mean(dim=1)
