"""ViT: an image as a sequence of patches that attend to each other.

Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
ICLR 2021. torchvision's networks. Names that end in a number of pixels have position embeddings for
images of that side, as the weights SWAG_E2E (Singh et al., "Revisiting Weakly Supervised
Pre-Training of Visual Perception Models", CVPR 2022) were published; all others for 224.
"""

import math
from collections import OrderedDict
from functools import partial
from typing import Any

import torch
import torchvision
from torch import nn
from torch.nn.functional import interpolate

from pipeline.networks.backbones.contract import Backbone, PublishedWeights
from pipeline.networks.backbones.names import names_of, new_names, renamed
from pipeline.networks.backbones.tokens import FirstToken, token_map
from pipeline.networks.backbones.torchvision_weights import torchvision_weights

# Architecture of torchvision, and the side of the images that its position embeddings are for.
_SIZES = {
    "vit_b_16": ("vit_b_16", 224),
    "vit_b_32": ("vit_b_32", 224),
    "vit_l_16": ("vit_l_16", 224),
    "vit_l_32": ("vit_l_32", 224),
    "vit_h_14": ("vit_h_14", 224),
    "vit_b_16_384": ("vit_b_16", 384),
    "vit_l_16_512": ("vit_l_16", 512),
    "vit_h_14_518": ("vit_h_14", 518),
}
NAMES: tuple[str, ...] = tuple(_SIZES)


class PatchEmbedding(nn.Module):
    """Patches and the class token, with their positions added.

    Args:
        made: torchvision's network.
    """

    def __init__(self, made: Any) -> None:
        super().__init__()
        self.conv_proj: nn.Conv2d = made.conv_proj
        self.class_token: nn.Parameter = made.class_token
        self.pos_embedding: nn.Parameter = made.encoder.pos_embedding

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) to tokens (B, 1 + h w, D), the class token first.

        Raises:
            ValueError: The patches do not fill the image.
        """
        side, (height, width) = self.conv_proj.kernel_size[0], images.shape[-2:]
        if height % side or width % side:
            raise ValueError(f"images of {height} x {width} are no multiple of patches of {side}")
        patches = self.conv_proj(images)
        rows, columns = patches.shape[-2:]
        tokens = patches.flatten(2).transpose(1, 2)
        token = self.class_token.expand(len(tokens), -1, -1)
        return torch.cat([token, tokens], dim=1) + self._positions(rows, columns)

    def _positions(self, rows: int, columns: int) -> torch.Tensor:
        """Embeddings for this grid, interpolated as torchvision does it for other sizes."""
        first, grid = self.pos_embedding[:, :1], self.pos_embedding[:, 1:]
        side = math.isqrt(grid.shape[1])
        if (rows, columns) == (side, side):
            return self.pos_embedding
        maps = grid.transpose(1, 2).reshape(1, -1, side, side)
        maps = interpolate(maps, (rows, columns), mode="bicubic", align_corners=True)
        return torch.cat([first, maps.flatten(2).transpose(1, 2)], dim=1)


def build(name: str) -> Backbone:
    """An untrained ViT; its features are the class token, after the last layer norm.

    For images of other sizes, which must be multiples of a patch, the position embeddings are
    interpolated.
    """
    architecture, side = _SIZES[name]
    made = torchvision.models.get_model(architecture, weights=None, image_size=side)
    names = names_of(made)
    network = nn.Sequential(
        OrderedDict(
            embedding=PatchEmbedding(made),
            layers=made.encoder.layers,
            norm=made.encoder.ln,
            token=FirstToken(),
        )
    )
    return Backbone(
        name=name,
        network=network,
        dim=made.hidden_dim,
        transform=next(iter(published(name).values())).transform,
        blocks=lambda: [network[0], *network.get_submodule("layers").children()],
        pool=network[2:],
        classifier_keys=("heads.",),
        translate=partial(renamed, new_names(names, network)),
        maps=token_map,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """The weights that torchvision publishes for images of this size."""
    architecture, side = _SIZES[name]
    every = torchvision_weights(architecture)
    return {label: entry for label, entry in every.items() if entry.transform.crop_px == side}
