"""What every backbone offers, whatever its family.

A family is one file of this folder. It defines `NAMES`, the values of backbone.name that it
builds, and `build(name)`, which returns an untrained Backbone. A registry entry in `__init__.py`
makes it known. What a family cannot do it leaves None: whoever needs it says so in one line.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from pipeline.networks.backbones.transform import Transform


@dataclass(frozen=True)
class Backbone:
    """A network without its classifier, and what others must know to use it.

    Attributes:
        name: As in backbone.name.
        network: Images (B, 3, H, W) float, normalised, to features (B, dim). Its state_dict has
            the names under which weights are published.
        dim: Length of the feature vector.
        transform: What the family's first published weights expect of an image.
        blocks: Parts of `network` from the image to the top, each taking what the one before
            returns; together with `pool` they are the network. Strategies freeze them and give
            them learning rates.
        pool: What the last block returns to features (B, dim).
        classifier_keys: Beginnings of tensor names of the classifier in published weights.
        fold: Makes a network of pixel values 0 to 255 with batch norm and normalisation folded
            into its convolutions; None where the family has nothing to fold.
        in_full: Names of submodules of the folded network that int8 must leave in fp32; None
            where the family cannot be quantised.
    """

    name: str
    network: nn.Module
    dim: int
    transform: Transform
    blocks: Sequence[nn.Module]
    pool: Callable[[torch.Tensor], torch.Tensor]
    classifier_keys: tuple[str, ...]
    fold: Callable[[nn.Module, Transform], nn.Module] | None = None
    in_full: tuple[str, ...] | None = None

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        """Features (B, dim) of normalised images (B, 3, H, W)."""
        features: torch.Tensor = self.network(images)
        return features
