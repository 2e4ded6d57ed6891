"""In what a video is unlike those that the models were trained on, a line each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.frames.params import FramesParams
from pipeline.predict.container import Container
from pipeline.seen import FAR, distance


def unlike_frames(found: Container, frames: FramesParams) -> list[str]:
    """What its frames lack by themselves: size and rate below what the models take of a video.

    Args:
        found: The video.
        frames: Which frames are taken.
    """
    lines = []
    side = min(found.width, found.height)
    if 0 < side < frames.short_side:
        lines.append(
            f"{found.width} x {found.height} pixels: enlarged to a short side of "
            f"{frames.short_side}, which adds no detail"
        )
    if 0 < found.fps < float(frames.rate):
        lines.append(
            f"{found.fps:g} frames per second, but {float(frames.rate):g} are taken: frames repeat"
        )
    return lines


def unlike_features(
    features: NDArray[np.floating], header: Mapping[str, Any], path: Path
) -> list[str]:
    """Whether its features lie far from those of the training videos.

    Args:
        features: (T, D).
        header: Of the temporal model.
        path: Of its file, for messages.
    """
    if "seen" not in header:
        return []
    found = distance(features, header["seen"])
    if found is None or found <= FAR:
        return []
    return [
        f"features {found:.1f} times as far from those of the training videos as these are from "
        f"one another ({path.name} has seen {header['seen']['videos']}): another procedure, camera "
        "or picture?"
    ]


def unlike_samples(lost: NDArray[np.bool_]) -> list[str]:
    """Whether samples were lost.

    Args:
        lost: (T,) whether the frame of a sample could not be decoded.
    """
    if not lost.any():
        return []
    return [f"damaged: {lost.sum()} of {len(lost)} samples lost, each repeats the one before"]
