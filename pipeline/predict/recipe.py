"""What leads from a video to predictions, as the headers of a pair of models tell it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.clips import ClipParams, Clips, clips_of
from pipeline.errors import PipelineError
from pipeline.features.params import FeaturesParams
from pipeline.frames.params import FramesParams
from pipeline.model_pair import ModelPair, task_of
from pipeline.settings import S, check_section

_NEEDED = ("frames", "features", "kind", "model", "dim", "classes", "fps")


@dataclass(frozen=True)
class Recipe:
    """The parameters of each step.

    Attributes:
        frames: Which frames are taken; `fps` is the rate that samples and clips need together.
        features: How they are encoded.
        clips: Which frames make a sample's clip; None where a sample is one frame.
        fps: Samples per second.
        classes: Names in class order.
    """

    frames: FramesParams
    features: FeaturesParams
    clips: Clips | None
    fps: float
    classes: tuple[str, ...]


def recipe_of(pair: ModelPair, temporal: Path) -> Recipe:
    """The recipe in the headers of two models.

    Args:
        pair: Both models.
        temporal: Path of the temporal model, for messages.

    Raises:
        PipelineError: A header lacks a step, or a step cannot be done without the project.
    """
    header = pair.temporal_header
    # A number per video has no classes, and a linear model no numbers: both are there and empty.
    given = {**header, "model": "model" in header, "classes": "classes" in header}
    missing = [key for key in _NEEDED if not given.get(key)]
    if missing:
        raise PipelineError(
            f"{temporal}: its header says nothing of {', '.join(missing)}, which a video needs to "
            "become features: they came from elsewhere or from an earlier version. Train it on "
            "features that `dvc repro` made."
        )
    frames = _frames(header, temporal)
    features = _section(FeaturesParams, "features", header, temporal)
    if features.precision == "int8" and "int8" not in header:
        raise PipelineError(
            f"{temporal}: features.precision is int8, whose scales come from frames of the "
            "training videos and are not in this model file, which an earlier version wrote. Run "
            "`dvc repro`: features and models are taken from the store, and the scales added."
        )
    clips, every = None, 1
    if (found := pair.backbone_header.get("clip")) is not None:
        clip = check_section(ClipParams, "backbone.clip", found, temporal)
        rate, clips = clips_of(frames.rate, clip)
        frames, every = frames.model_copy(update={"fps": str(rate)}), clips.every
    return Recipe(frames, features, clips, float(frames.rate) / every, tuple(header["classes"]))


def _frames(header: Mapping[str, Any], path: Path) -> FramesParams:
    found = dict(header["frames"])
    if task_of(header) == "images":
        del found["decoder"]  # of videos
    return check_section(FramesParams, "frames", found, path)


def _section(model: type[S], key: str, header: Mapping[str, Any], path: Path) -> S:
    return check_section(model, key, header[key], path)
