"""Test videos, each predicted by networks that did not see it, and metrics by fold and by seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.errors import PipelineError
from pipeline.metrics.keys import is_in, value_at
from pipeline.metrics.spread import mean_and_deviation
from pipeline.metrics.summary import summarise
from pipeline.metrics.table import METRICS, Metric
from pipeline.metrics.video_level import VIDEO_METRICS
from pipeline.metrics.wording import with_deviation, written
from pipeline.scored_video import ScoredVideo
from pipeline.sequences import Sequence as VideoSequence
from pipeline.sequences import read_split
from pipeline.tables import read_folds
from pipeline.tracks import PHASE


@dataclass(frozen=True)
class HeldOut:
    """A video of the test split of a fold.

    Attributes:
        fold: From 1; None where there is a single split.
        sequence: Its features and labels.
    """

    fold: int | None
    sequence: VideoSequence

    @property
    def video(self) -> str:
        """Its name."""
        return self.sequence.video

    @property
    def features(self) -> Path:
        """The file that they are read from."""
        return paths.features_of(self.fold) / f"{self.video}.h5"


@dataclass(frozen=True)
class PartsTable:
    """The headline metrics of each fold, or of each seed.

    Attributes:
        of: `fold` or `seed`.
        labels: Of the metrics, one per column.
        rows: Name, number of videos and values of each part.
        spread: Mean ± standard deviation of each metric.
    """

    of: str
    labels: Sequence[str]
    rows: Sequence[tuple[str, int, Sequence[str]]]
    spread: Sequence[str]


def read_test_videos(temporal: Mapping[str, Any], track: str = PHASE) -> list[HeldOut]:
    """The test videos of all folds, by name; of a single split, in its order.

    Args:
        temporal: Header of models/temporal.safetensors.
        track: With which labels.

    Raises:
        PipelineError: The model was trained on other folds than those of splits.csv, so that its
            networks may have seen these videos.
    """
    folds = read_folds()
    trained = set(folds_of(temporal))
    if trained != set(folds):
        raise PipelineError(
            f"{paths.TEMPORAL}: holds networks of {_named(trained)}, but {paths.INDEX}/splits.csv "
            f"holds {_named(set(folds))}. Run `dvc repro train`."
        )
    found = [
        HeldOut(fold, video)
        for fold in folds
        for video in read_split("test", paths.features_of(fold), fold=fold, track=track)
    ]
    return found if folds == (None,) else sorted(found, key=lambda test: test.video)


def folds_of(temporal: Mapping[str, Any]) -> list[int | None]:
    """The folds of a model file, in order; [None] where it was trained on a single split."""
    return list(
        dict.fromkeys(member["fold"] for member in temporal.get("members", [{"fold": None}]))
    )


def seeds_of(temporal: Mapping[str, Any]) -> list[int]:
    """The seeds of a model file, in order."""
    return list(dict.fromkeys(member["seed"] for member in temporal.get("members", [temporal])))


def classes_seen(temporal: Mapping[str, Any], fold: int | None) -> set[str]:
    """The classes that the training videos of a fold show."""
    if fold is None:
        return set(temporal["classes_seen"])
    members = [member for member in temporal["members"] if member["fold"] == fold]
    return {name for member in members for name in member["classes_seen"]}


def scored_parts(
    tests: Sequence[HeldOut],
    scored: Mapping[str, ScoredVideo],
    scored_by: Callable[[VideoSequence, int], ScoredVideo],
    temporal: Mapping[str, Any],
    relaxed_seconds: float,
) -> dict[str, dict[str, Any]]:
    """Metrics of the test videos by fold and by seed, where there are several.

    Args:
        tests: The test videos.
        scored: Predicted by all seeds, by name.
        scored_by: Predicts a test video by the network of one seed.
        temporal: Header of models/temporal.safetensors.
        relaxed_seconds: Tolerance of the relaxed metrics.

    Returns:
        What summarise gives, without intervals, by fold in `folds` and by seed in `seeds`.
    """

    def summary(videos: Mapping[str, ScoredVideo]) -> dict[str, Any]:
        return summarise(videos, temporal["classes"], temporal["fps"], relaxed_seconds, 0)

    parts: dict[str, dict[str, Any]] = {}
    folds, seeds = folds_of(temporal), seeds_of(temporal)
    if len(folds) > 1:
        parts["folds"] = {
            str(fold): summary({t.video: scored[t.video] for t in tests if t.fold == fold})
            for fold in folds
        }
    if len(seeds) > 1:
        parts["seeds"] = {
            str(seed): summary({t.video: scored_by(t.sequence, seed) for t in tests})
            for seed in seeds
        }
    return parts


def parts_table(of: str, parts: Mapping[str, Mapping[str, Any]]) -> PartsTable:
    """A table of the page.

    Args:
        of: `fold` or `seed`.
        parts: What summarise returned, by fold or seed. A fold without labels has no metrics.
    """
    shown: list[Metric] = [
        row
        for row in (*METRICS, *VIDEO_METRICS)
        if row.kept and any(is_in(p, row.key) for p in parts.values())
    ]
    return PartsTable(
        of=of,
        labels=[row.label for row in shown],
        rows=[
            (name, part["videos"], [written(row, value_at(part, row.key)) for row in shown])
            for name, part in parts.items()
        ],
        spread=[with_deviation(row, *mean_and_deviation(parts.values(), row.key)) for row in shown],
    )


def _named(folds: set[int | None]) -> str:
    return "a single split" if None in folds else f"{len(folds)} folds"
