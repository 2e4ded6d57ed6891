"""In what a video is unlike those that the models were trained on, a line each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.frames.params import FramesParams
from pipeline.predict.container import Container
from pipeline.seen import FAR, distance

_SLACK = 0.05


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


def unlike_files(found: Container, header: Mapping[str, Any]) -> list[str]:
    """Where its size, rate and codec lie outside those of the training videos.

    Args:
        found: The video.
        header: Of the temporal model; one of an earlier version does not know.
    """
    seen, lines = header.get("videos_seen", {}), []
    sides = {
        "long_side": max(found.width, found.height),
        "short_side": min(found.width, found.height),
    }
    if "long_side" in seen and any(_outside(value, seen[key]) for key, value in sides.items()):
        lines.append(
            f"{sides['long_side']} x {sides['short_side']} pixels, but the training videos have "
            f"{_shown(seen['long_side'])} x {_shown(seen['short_side'])}"
        )
    if "fps" in seen and _outside(found.fps, seen["fps"]):
        lines.append(
            f"{found.fps:g} frames per second, but the training videos have {_shown(seen['fps'])}"
        )
    if found.codec and "codecs" in seen and found.codec not in seen["codecs"]:
        lines.append(
            f"coded as {found.codec}, but the training videos as {', '.join(seen['codecs'])}"
        )
    return lines


def _outside(value: float, limits: Sequence[float]) -> bool:
    """Whether a value is known and lies outside, by more than the like of 1080 and 1088."""
    low, high = limits
    return value > 0 and not (1 - _SLACK) * low <= value <= (1 + _SLACK) * high


def _shown(limits: Sequence[float]) -> str:
    low, high = limits
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


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
