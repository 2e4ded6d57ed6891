"""What networks of clips do first: refuse what they cannot read, and put the channels first."""

import torch
from torch import nn

from pipeline.errors import PipelineError


def check_length(name: str, frames: int, least: int = 1, multiple_of: int = 1) -> None:
    """Check that a network can read clips of this length.

    Args:
        name: Of the backbone.
        frames: L, frames per clip.
        least: That it needs.
        multiple_of: By which L must be divisible.

    Raises:
        ValueError: It cannot; says what is allowed.
    """
    if frames < least or frames % multiple_of:
        multiples = f", in multiples of {multiple_of}" if multiple_of > 1 else ""
        raise ValueError(f"found {frames}. Allowed for {name}: {least} or more{multiples}")


class ChannelsFirst(nn.Module):
    """Clips (B, L, 3, H, W) to (B, 3, L, H, W), as 3D convolutions take them."""

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """The same memory, seen with other axes."""
        return clips.transpose(1, 2)


class OfSize(nn.Module):
    """Clips of one size; all others are refused.

    For transformers, whose positions belong to one grid of patches. Some of them would read a
    clip of another size without a word and mistake where its patches lie.

    Args:
        frames: L.
        crop_px: H and W.
    """

    def __init__(self, frames: int, crop_px: int) -> None:
        super().__init__()
        self.size = (frames, 3, crop_px, crop_px)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """The clips (B, L, 3, H, W) as they are.

        Raises:
            PipelineError: They have another size.
        """
        if clips.shape[1:] != self.size:
            raise PipelineError(
                f"params.yaml: backbone.name: this backbone reads clips of {self.size} (frames, "
                f"channels, height, width); found {tuple(clips.shape[1:])}. Set features.crop to "
                f"{self.size[-1]}, or choose a backbone that reads crops of any size."
            )
        return clips
