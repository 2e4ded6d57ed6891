"""Backbones small enough to follow, and temporal networks over their features."""

import torch
from torch import nn
from torchvision.models import VisionTransformer

from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.temporal import KINDS

TRANSFORM = Transform(16, 16, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
CLASSES = 3
FORMS = [
    ("rnn", {"rnn": "lstm", "hidden": 5}),
    ("rnn", {"rnn": "gru", "hidden": 5}),
    ("rnn", {"rnn": "lstm", "hidden": 5, "bidirectional": True}),
    ("tecno", {"layers": 2, "maps": 4}),
]


def convolutions(channels=6):
    """Two convolutions, the average over the map as feature."""
    first = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    last = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return _backbone(nn.Sequential(first, last, pool), [first, last], pool, channels, lambda x: x)


class _Both(nn.Module):
    """Two layers on one image, then on the pair that the first two gave."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, given):
        pair = given if isinstance(given, tuple) else (given, given)
        return tuple(layer(x) for layer, x in zip(self.layers, pair, strict=True))


class _MeansOfBoth(nn.Module):
    def forward(self, pair):
        return torch.cat([x.mean(dim=(2, 3)) for x in pair], dim=1)


def pair(channels=3):
    """Two networks side by side, which hand on tuples; its map is that of the second one."""

    def layer(inputs):
        return nn.Sequential(nn.Conv2d(inputs, channels, 3, stride=2), nn.ReLU(inplace=True))

    blocks = [_Both(layer(3), layer(3)), _Both(layer(channels), layer(channels))]
    pool = _MeansOfBoth()
    network = nn.Sequential(*blocks, pool)
    return _backbone(network, blocks, pool, 2 * channels, lambda both: both[1])


class _Positions(nn.Module):
    """The patches of an image with class token and positions."""

    def __init__(self, vit):
        super().__init__()
        self.vit = [vit]  # not a second owner of its parameters

    def forward(self, images):
        (vit,) = self.vit
        tokens = vit._process_input(images)
        classes = vit.class_token.expand(len(images), -1, -1)
        return torch.cat((classes, tokens), dim=1) + vit.encoder.pos_embedding


class _FirstToken(nn.Module):
    def forward(self, tokens):
        return tokens[:, 0]


def transformer(dim=8):
    """torchvision's vision transformer, 16 patches of 16 x 16 pixels; its feature is the token."""
    vit = VisionTransformer(16, 4, 2, 2, dim, 16).eval()
    vit.heads = nn.Identity()
    blocks = [_Positions(vit), *vit.encoder.layers]
    pool = nn.Sequential(vit.encoder.ln, _FirstToken())
    return _backbone(
        vit, blocks, pool, dim, lambda x: x[:, 1:].transpose(1, 2).unflatten(2, (4, 4))
    )


def _backbone(network, blocks, pool, dim, maps):
    network.eval()
    return Backbone("toy", network, dim, TRANSFORM, lambda: blocks, pool, (), maps=maps)


def temporal(form, dim):
    kind, params = form
    return KINDS[kind].build(dim, CLASSES, KINDS[kind].Params(**params)).eval()


def logits_of_video(network, features):
    """Of every frame, all at once: (T, C)."""
    mask = torch.ones(1, len(features), dtype=torch.bool)
    return network(features[None], mask).logits[-1][0]
