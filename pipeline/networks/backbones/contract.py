"""What every backbone offers, whatever its family.

A family is one file of this folder, which defines what the Protocol `Family` lists, or, where its
networks read clips, `ClipFamily`; one line in `__init__.py` makes it known. What a family cannot do
it leaves None, and whoever needs it says so in one line.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from pipeline.networks.backbones.transform import Transform

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Backbone:
    """A network without its classifier, and what others must know to use it.

    Attributes:
        name: As build_backbone takes it.
        network: Images (B, 3, H, W) float, normalised, to features (B, dim); where `clip_frames`
            is a number L, clips (B, L, 3, H, W), the oldest frame first. Its state_dict has the
            names under which weights are published.
        dim: Length of the feature vector.
        transform: What the first published weights of this name expect of an image; files and
            random weights that bring no transform of their own get it.
        blocks: The parts of `network` from the image to the top, each taking what the one before
            returns; together with `pool` they are the network. Strategies freeze them and give
            them learning rates. Looked up at every call, because a training may replace modules
            of the network. A ViT's first block is its patch embedding with the positions added.
        pool: What the last block returns to features (B, dim). Its parameters, such as the last
            norm of a ViT, are trained with the last block.
        classifier_keys: Beginnings of tensor names that a published file may hold and the network
            does not need.
        translate: Tensors of a published file, without the prefixes of training frameworks, to
            the names that `network` uses.
        fold: A faster network of the same function in evaluation mode, with batch norm folded into
            its convolutions. Given a transform, its normalisation is folded too, and the network
            takes pixel values 0 to 255. None where there is nothing to fold.
        in_full: Names of the submodules of the folded network that int8 must leave in fp32; None
            where the family cannot be quantised.
        maps: What the last block returns to a map (B, channels, h, w) of what was seen where, for
            explanations such as Grad-CAM; None where there is no such map. Of a clip, (B, channels,
            l, h, w) with l moments of it.
        clip_frames: L, for networks that read clips; None for those that read images.
    """

    name: str
    network: nn.Module
    dim: int
    transform: Transform
    blocks: Callable[[], Sequence[nn.Module]]
    pool: nn.Module
    classifier_keys: tuple[str, ...]
    translate: Callable[[Tensors], Tensors] = dict
    fold: Callable[[nn.Module, Transform | None], nn.Module] | None = None
    in_full: tuple[str, ...] | None = None
    maps: Callable[[torch.Tensor], torch.Tensor] | None = None
    clip_frames: int | None = None

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        """Features (B, dim) of normalised images (B, 3, H, W), or clips (B, L, 3, H, W)."""
        features: torch.Tensor = self.network(images)
        return features


@dataclass(frozen=True)
class PublishedWeights:
    """Weights that can be had by name.

    Attributes:
        url: Where they come from.
        transform: What they expect of an image.
        fetch: Downloads them once and checks them; tensors under published names. Raises OSError
            or RuntimeError when they cannot be had.
    """

    url: str
    transform: Transform
    fetch: Callable[[], Tensors]


class Family(Protocol):
    """The file of a family.

    A family whose networks another library makes names that library in LIBRARIES, a tuple of
    packages: their versions then count among what decides its features.

    Attributes:
        NAMES: The values of backbone.name that it builds; no other family has one of them. Those
            that it offers first, where it builds whatever follows a prefix (`__init__.py`).
    """

    @property
    def NAMES(self) -> tuple[str, ...]:  # noqa: D102
        ...

    def build(self, name: str) -> Backbone:
        """An untrained backbone, initialised from torch's random state.

        Args:
            name: One of NAMES.
        """
        ...

    def published(self, name: str) -> Mapping[str, PublishedWeights]:
        """The values of backbone.weights that this name can be had with, the oldest first.

        Args:
            name: One of NAMES.
        """
        ...


@dataclass(frozen=True)
class ClipSize:
    """The clips that the published weights of a network were trained with.

    Attributes:
        frames: L.
        stride_s: Seconds between two of them.
    """

    frames: int
    stride_s: float


class ClipFamily(Protocol):
    """The file of a family whose networks read clips.

    Attributes:
        NAMES: As of Family.
    """

    @property
    def NAMES(self) -> tuple[str, ...]:  # noqa: D102
        ...

    def build(self, name: str, frames: int) -> Backbone:
        """An untrained backbone, initialised from torch's random state.

        Args:
            name: One of NAMES.
            frames: L, frames per clip.

        Raises:
            ValueError: It cannot read so many; says what is allowed.
        """
        ...

    def published(self, name: str) -> Mapping[str, PublishedWeights]:
        """As of Family."""
        ...

    def clip_size(self, name: str) -> ClipSize:
        """What its published weights were trained with.

        Args:
            name: One of NAMES.
        """
        ...
