"""A grid of grey values per frame, side by side: a clip's features are its frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    import torch

    from pipeline.networks.backbones.contract import Backbone, ClipSize, PublishedWeights

NAMES = ("toy_clip",)
GRID = 10


class Grid(nn.Module):
    """Clips (B, L, 3, H, W) to (B, L, GRID); scaled by one weight, which can be trained."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Linear(GRID, GRID, bias=False)
        nn.init.eye_(self.scale.weight)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        middle = clips.shape[-2] // 2
        rows = clips[:, :, 0, middle - 1 : middle + 1].mean(dim=2)
        return self.scale(nn.functional.adaptive_avg_pool1d(rows, GRID))


def build(name: str, frames: int) -> Backbone:
    """Knows no time: the features of frame l are number l * GRID and those that follow."""
    from pipeline.networks.backbones.contract import Backbone
    from pipeline.networks.backbones.transform import Transform

    if frames > 64:
        raise ValueError(f"found {frames}. {name} reads 2 to 64 frames")
    grid, pool = Grid(), nn.Flatten()
    return Backbone(
        name=f"{name}@{frames}",
        network=nn.Sequential(grid, pool),
        dim=frames * GRID,
        transform=Transform(64, 64, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        blocks=lambda: [grid],
        pool=pool,
        classifier_keys=(),
        clip_frames=frames,
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """None."""
    return {}


def clip_size(name: str) -> ClipSize:
    """What a published one would say."""
    from pipeline.networks.backbones.contract import ClipSize

    return ClipSize(8, 0.2)
