"""Which frames make a clip: so many, evenly spaced in time, that end at a sample or surround it.

Clips overlap, so their frames are stored once, at the one rate at which every sample and every
frame of its clip is among them:

    frames.fps 1, clip of 4 frames, 0.5 s apart, past:    stored at 2 fps

    stored   0   1   2   3   4   5   6
    samples  0       1       2       3
    clip 2       1   2   3   4
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from pipeline.paths import PARAMS
from pipeline.settings import Section, check_section, read_params

Position = Literal["past", "centred"]

FASTEST = 120
"""Frames per second that are stored at most; a stride that needs more is a slip of the pen."""


def _is_duration(value: int | float | str) -> int | float | str:
    try:
        positive = Fraction(str(value)) > 0
    except (ValueError, ZeroDivisionError):
        positive = False
    if not positive:
        raise ValueError("Allowed: seconds above 0, such as 0.5, 2 or 1/15")
    return value


class ClipParams(Section):
    """The section `backbone.clip`: what a backbone that reads clips sees at each sample.

    Attributes:
        frames: L, of each clip.
        stride_s: Seconds between two of them: 0.2, 2 or "1/15".
        position: `past`: the clip ends at its sample, so that nothing depends on the future.
            `centred`: the sample lies in its middle.
    """

    frames: int = Field(ge=2)
    stride_s: Annotated[int | float | str, AfterValidator(_is_duration)]
    position: Position = "past"

    @property
    def stride(self) -> Fraction:
        """`stride_s` as the exact duration that was meant."""
        return Fraction(str(self.stride_s))


@dataclass(frozen=True)
class Clips:
    """The clips of a video whose frames are stored at a rate that holds them all.

    Attributes:
        frames: L, of each clip.
        every: Stored frames from one sample to the next.
        step: Stored frames from one frame of a clip to the next.
        position: `past`: the last frame of a clip is that of its sample, so that nothing depends
            on the future. `centred`: frame number L // 2 is, counted from 0.
    """

    frames: int
    every: int
    step: int
    position: Position

    @property
    def own(self) -> int:
        """Which frame of a clip is that of its sample, from 0."""
        return self.frames // 2 if self.position == "centred" else self.frames - 1

    @property
    def span(self) -> int:
        """Stored frames from the first to the last of a clip, both included."""
        return (self.frames - 1) * self.step + 1

    def samples(self, stored: int) -> NDArray[np.int64]:
        """The stored frames (T,) at which samples lie, of so many."""
        return np.arange(0, stored, self.every, dtype=np.int64)

    def rows(self, kept: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The stored frames of each clip, the oldest first.

        Beyond an end of the video its first or last frame is repeated. A lost frame gives way to
        the nearest kept one before it in the video, or else after it.

        Args:
            kept: (F,) bool, stored frames that were not lost; at least one.

        Returns:
            (T, L) numbers of stored frames, one row per sample.
        """
        offsets = self.step * (np.arange(self.frames) - self.own)
        wanted = self.samples(len(kept))[:, None] + offsets[None, :]
        rows: NDArray[np.int64] = _nearest_kept(kept)[np.clip(wanted, 0, len(kept) - 1)]
        return rows


def clips_of(fps: Fraction, params: ClipParams) -> tuple[Fraction, Clips]:
    """The rate at which frames must be stored, and the clips among them.

    Args:
        fps: Samples per second.
        params: Length, stride and position of the clips.

    Raises:
        ValueError: No rate up to FASTEST holds both; offers strides that one does.
    """
    per_second = 1 / params.stride
    # The smallest rate of which both are whole fractions.
    rate = Fraction(
        lcm(fps.numerator, per_second.numerator), gcd(fps.denominator, per_second.denominator)
    )
    if rate > FASTEST:
        offered = ", ".join(str(1 / fps / n) for n in (1, 2, 3, 5, 10, 15, 25))
        raise ValueError(
            f"frames every {params.stride} s and {fps} samples per second meet only at {rate} "
            f"frames per second; at most {FASTEST} are stored. Take a whole fraction or a multiple "
            f"of the time between samples, such as {offered}"
        )
    step = int(rate * params.stride)
    return rate, Clips(params.frames, int(rate / fps), step, params.position)


def recorded_clips(recipe: Mapping[str, Any]) -> Clips | None:
    """The clips that frames were stored for, from their recipe.json; None: single images."""
    if "clip" not in recipe:
        return None
    return clips_of(Fraction(recipe["sample_fps"]), ClipParams(**recipe["clip"]))[1]


def _nearest_kept(kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each stored frame itself, or the last kept one before it, or the first kept one."""
    number = np.where(kept, np.arange(len(kept)), -1)
    before = np.maximum.accumulate(number)
    first = int(np.argmax(kept))
    return np.where(before < 0, first, before).astype(np.int64)


def read_clip(path: Path = PARAMS) -> ClipParams | None:
    """The section `backbone.clip` of params.yaml; None where it is null or not there.

    Raises:
        PipelineError: It has an unknown key or an impossible value.
    """
    found = (read_params(path).get("backbone") or {}).get("clip")
    return None if found is None else check_section(ClipParams, "backbone.clip", found, path)


def stored_clips(frames: Path) -> Clips | None:
    """The clips that a folder of frames was stored for; None where samples are single images."""
    recipe = frames / "recipe.json"
    if not recipe.is_file():  # frames that came from elsewhere
        return None
    return recorded_clips(json.loads(recipe.read_text(encoding="utf-8")))
