"""The features of a split's videos with their labels, aligned by time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import paths
from pipeline.errors import PipelineError
from pipeline.feature_store import prefetch, read_features
from pipeline.frame_labels import phases_at
from pipeline.tables import INDEX, read_labels, read_phases, read_skipped, read_splits
from pipeline.tracks import PHASE, read_track

FEATURES = paths.FEATURES


@dataclass(frozen=True)
class FrameTarget:
    """A class for each frame.

    Attributes:
        classes: (T,) int64, -1 where unlabelled.
    """

    classes: NDArray[np.int64]


@dataclass(frozen=True)
class VideoTarget:
    """One class or score for the whole video, such as the surgeon's skill.

    Attributes:
        class_number: From 0; of a score, its number among those that occur.
    """

    class_number: int


Target = FrameTarget | VideoTarget


@dataclass(frozen=True)
class Sequence:
    """One video as a temporal network sees it.

    Attributes:
        video: Identifier.
        features: (T, D) float16 or float32, usually mapped from the file (feature_store.py).
        target: What is to be predicted.
        time_s: (T,) float64 seconds.
        fps: Frames per second of the sequence.
        weights_hash: SHA-256 of the backbone that made the features.
        fingerprint: Of the features.
        recipe: Parameters and versions that lead from the video to the features; empty where the
            features file does not say.
    """

    video: str
    features: NDArray[np.floating]
    target: Target
    time_s: NDArray[np.float64]
    fps: float
    weights_hash: str
    fingerprint: str
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {"features": len(self.features), "times": len(self.time_s)}
        if isinstance(self.target, FrameTarget):
            lengths["labels"] = len(self.target.classes)
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{count} {what}" for what, count in lengths.items())
            raise ValueError(f"{self.video}: not aligned: {found}")

    def __len__(self) -> int:
        return len(self.features)

    def prefetch(self) -> None:
        """Have the features read from the disk in the background: they are wanted soon."""
        prefetch(self.features)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each frame, (T,), -1 where unlabelled; (1,) where the video has one."""
        if isinstance(self.target, VideoTarget):
            return np.array([self.target.class_number], dtype=np.int64)
        return self.target.classes


def read_split(
    split: str,
    features: Path = FEATURES,
    index: Path = INDEX,
    fold: int | None = None,
    track: str = PHASE,
) -> list[Sequence]:
    """The videos of a split, in the order of splits.csv, without those skipped as damaged.

    Training videos have no label where a damaged frame was lost.

    Args:
        split: train, val or test.
        features: Folder of the features.
        index: Folder of the tables.
        fold: Of which fold, as read_splits takes it.
        track: Which labels.

    Raises:
        PipelineError: A video has no features, its features come from another backbone than those
            of the videos before it, or there is no such track.
    """
    splits = read_splits(index, fold)
    if track == PHASE:
        labels, phases = read_labels(index), read_phases(index)
    else:
        labels, phases = read_track(track, index)
    skipped = set(read_skipped(features)["video"])
    sequences: list[Sequence] = []
    for video in splits.loc[splits["split"] == split, "video"]:
        if video in skipped:
            continue
        path = features / f"{video}.h5"
        content = read_features(path)
        classes = phases_at(content.time_s, labels[labels["video"] == video], phases, index)
        if split == "train":
            # Their rows repeat another frame's. Elsewhere they count: the truth is known.
            classes[content.lost] = -1
        sequence = Sequence(
            video=video,
            features=content.features,
            target=FrameTarget(classes),
            time_s=content.time_s,
            fps=float(content.attributes["fps"]),
            weights_hash=str(content.attributes["weights_hash"]),
            fingerprint=str(content.attributes["fingerprint"]),
            recipe=json.loads(content.attributes.get("recipe", "{}")),
        )
        if sequences:
            _same_backbone(sequences[0], sequence, path)
        sequences.append(sequence)
    return sequences


def _same_backbone(first: Sequence, other: Sequence, path: Path) -> None:
    if other.features.shape[1] != first.features.shape[1]:
        raise PipelineError(
            f"{path}: {other.features.shape[1]}-d features, but those of {first.video} are "
            f"{first.features.shape[1]}-d. Remove {path.parent} and run `dvc repro`."
        )
    if (other.weights_hash, other.fps) != (first.weights_hash, first.fps):
        raise PipelineError(
            f"{path}: made with other parameters than {first.video}: backbone "
            f"{other.weights_hash[:12]} at {other.fps:g} fps, not {first.weights_hash[:12]} at "
            f"{first.fps:g} fps. Remove {path.parent} and run `dvc repro`."
        )
