"""What networks of clips do first: refuse what they cannot read, and put the channels first."""

import torch
from torch import nn


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
        raise ValueError(
            f"{name} cannot read clips of {frames} frames. Allowed: {least} or more{multiples}"
        )


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
            ValueError: They have another size.
        """
        if clips.shape[1:] != self.size:
            raise ValueError(
                f"this network reads clips of the size {self.size} (frames, channels, height, "
                f"width); found {tuple(clips.shape[1:])}. Leave features.crop at its default"
            )
        return clips
