"""Models of timm, cut into blocks from the image to the top."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from pipeline.networks.backbones.fold import fold
from pipeline.networks.backbones.names import names_of, new_names
from pipeline.networks.backbones.tokens import token_map
from pipeline.networks.backbones.transform import Transform

# Names of the parts from the image to the top, by class. `stages` is cut into its children.
_CONVOLUTIONAL = {
    "ConvNeXt": (("stem", "stages"), ("norm_pre", "head")),
    "MetaFormer": (("stem", "stages"), ("head",)),
    "PyramidVisionTransformerV2": (("patch_embed", "stages"), ("mean",)),
    "ResNet": (
        ("conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3", "layer4"),
        ("global_pool",),
    ),
}

Maps = Callable[[torch.Tensor], torch.Tensor]
Fold = Callable[[nn.Module, Transform | None], nn.Module]


@dataclass(frozen=True)
class Cut:
    """A model in parts, as a Backbone has them.

    Attributes:
        network: Images (B, 3, H, W) to features (B, D).
        blocks: Of the network, from the image to the top.
        pool: Of the network.
        names: What each tensor is called in `network`, by its name in timm.
        maps: As of Backbone.
        fold: As of Backbone.
    """

    network: nn.Module
    blocks: Callable[[], Sequence[nn.Module]]
    pool: nn.Module
    names: dict[str, str]
    maps: Maps | None = None
    fold: Fold | None = None


def cut(made: Any) -> Cut:
    """A model of timm without classifier in parts; in one, where its structure is not known here.

    Args:
        made: By timm, with num_classes=0. Its parts are moved.
    """
    kind = type(made).__name__
    if kind in ("VisionTransformer", "Eva") and _plain(made):
        return _cut_tokens(made)
    if kind in _CONVOLUTIONAL:
        return _cut_stages(made, *_CONVOLUTIONAL[kind])
    names = names_of(made)
    network = nn.Sequential(OrderedDict(whole=_Whole(made)))
    return Cut(network, lambda: list(network), nn.Identity(), new_names(names, network))


class _Whole(nn.Module):
    """All of a model in one block."""

    def __init__(self, made: Any) -> None:
        super().__init__()
        self.made = made

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) to (B, D)."""
        features: torch.Tensor = self.made.forward_head(
            self.made.forward_features(images), pre_logits=True
        )
        return features


class _Mean(nn.Module):
    """The average over a map."""

    def forward(self, last: torch.Tensor) -> torch.Tensor:
        """(B, D, h, w) to (B, D)."""
        return last.mean(dim=(-1, -2))


def _cut_stages(made: Any, lower: Sequence[str], upper: Sequence[str]) -> Cut:
    parts = {
        name: _Mean() if name == "mean" else made.get_submodule(name) for name in (*lower, *upper)
    }
    network = nn.Sequential(OrderedDict(parts))

    def blocks() -> list[nn.Module]:
        return [
            block
            for name in lower
            for block in (network.get_submodule(name).children() if name == "stages" else ())
            or [network.get_submodule(name)]
        ]

    foldable = isinstance(getattr(made, "bn1", None), nn.BatchNorm2d)
    return Cut(
        network,
        blocks,
        network[len(lower) :],
        {name: name for name in network.state_dict()},
        maps=lambda last: last,
        fold=fold if foldable else None,
    )


def _plain(made: Any) -> bool:
    """Whether each of its layers is given the same, and a class token or an average is its end."""
    return made.attn_pool is None and not getattr(made, "rope_mixed", False)


class _Embedding(nn.Module):
    """Patches and other tokens with their positions: what is left of a model without its layers."""

    def __init__(self, made: Any) -> None:
        super().__init__()
        self.made = made

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) to (B, N, D)."""
        made = self.made
        tokens: torch.Tensor = made.norm_pre(
            made.patch_drop(made._pos_embed(made.patch_embed(images)))
        )
        return tokens


Rotated = tuple[torch.Tensor, torch.Tensor | None]
"""Tokens (B, N, D), and the rotations of their positions, which each layer of EVA is given."""


class _RotatedEmbedding(nn.Module):
    """As _Embedding, for EVA."""

    def __init__(self, made: Any) -> None:
        super().__init__()
        self.made = made

    def forward(self, images: torch.Tensor) -> Rotated:
        """(B, 3, H, W) to tokens and rotations."""
        tokens, rotations = self.made._pos_embed(self.made.patch_embed(images))
        return self.made.norm_pre(tokens), rotations


class _RotatedLayer(nn.Module):
    """A layer of EVA, which hands the rotations on."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, given: Rotated) -> Rotated:
        """Tokens and rotations to the same."""
        tokens, rotations = given
        return self.layer(tokens, rope=rotations), rotations


class _Top(nn.Module):
    """From the tokens of the last layer to the features."""

    def __init__(self, made: Any, rotated: bool) -> None:
        super().__init__()
        self.norm, self.fc_norm = made.norm, made.fc_norm
        self.rotated = rotated
        # timm's own function, which needs no weights here.
        self._pool = partial(
            type(made).pool,
            _PoolSettings(
                made.global_pool,
                made.num_prefix_tokens,
                getattr(made, "pool_include_prefix", False),
            ),
        )

    def forward(self, given: torch.Tensor | Rotated) -> torch.Tensor:
        """(B, N, D), with rotations or without, to (B, D)."""
        tokens = given[0] if self.rotated else given
        features: torch.Tensor = self.fc_norm(self._pool(self.norm(tokens)))
        return features


@dataclass(frozen=True)
class _PoolSettings:
    """What timm's pooling reads of a model."""

    global_pool: str
    num_prefix_tokens: int
    pool_include_prefix: bool
    attn_pool: None = None


def _cut_tokens(made: Any) -> Cut:
    names = names_of(made)
    rotated = type(made).__name__ == "Eva"
    others = made.num_prefix_tokens
    layers = [_RotatedLayer(layer) if rotated else layer for layer in made.blocks]
    top = _Top(made, rotated)
    made.blocks, made.norm, made.fc_norm = nn.Sequential(), nn.Identity(), nn.Identity()
    network = nn.Sequential(
        OrderedDict(
            embedding=_RotatedEmbedding(made) if rotated else _Embedding(made),
            layers=nn.Sequential(*layers),
            top=top,
        )
    )
    return Cut(
        network,
        lambda: [network[0], *network.get_submodule("layers").children()],
        top,
        new_names(names, network),
        maps=lambda last: token_map(last[0] if rotated else last, others),
    )
