"""Predictions of another program against the truth, with every metric of the report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.evaluate.params import EvaluateParams
from pipeline.metrics.summary import summarise
from pipeline.phases import CHOLEC80
from pipeline.score.label_files import (
    MICROSECONDS,
    LabelFile,
    classes_in,
    find_files,
    read_cholec80,
    read_csv,
)
from pipeline.scored_video import ScoredVideo

Layout = Literal["cholec80", "csv"]


@dataclass(frozen=True)
class Scored:
    """What was scored.

    Attributes:
        metrics: As the group `test` of reports/details.json.
        label_fps: Frames per second of the predictions.
        classes: Names in class order.
    """

    metrics: dict[str, Any]
    label_fps: float
    classes: tuple[str, ...]


def score(predictions: Path, truth: Path, layout: Layout, skip_first_line: bool) -> Scored:
    """Score the videos that have predictions; each must have its truth.

    Args:
        predictions: A file or a folder with one per video.
        truth: The same; it may have more videos, and more frames per second.
        layout: cholec80 (frame number and phase) or csv (time_s, prediction or truth, p_<phase>).
        skip_first_line: Drop each file's first line, as Cholec80's official script does.

    Raises:
        PipelineError: A truth is missing, frames do not meet, or rates differ between videos.
    """
    suffix = ".txt" if layout == "cholec80" else ".csv"
    found, true = find_files(predictions, suffix), find_files(truth, suffix)
    if len(found) == len(true) == 1:
        true = dict(zip(found, true.values(), strict=True))  # one file each: names may differ
    missing = sorted(set(found) - set(true))
    if missing:
        raise PipelineError(
            f"{truth}: no truth of {', '.join(missing)}; it holds {', '.join(sorted(true)[:8])}."
        )
    classes = CHOLEC80 if layout == "cholec80" else classes_in([*found.values(), *true.values()])
    videos: dict[str, ScoredVideo] = {}
    rates: dict[str, float] = {}
    for name, path in found.items():
        if layout == "cholec80":
            pair = read_cholec80(path, skip_first_line), read_cholec80(true[name], skip_first_line)
        else:
            pair = read_csv(path, "prediction", classes), read_csv(true[name], "truth", classes)
        videos[name], rates[name] = _aligned(*pair)
    # Presentation times jitter by a frame of the video, so rates do by a little.
    fps = round(float(np.median(list(rates.values()))), 2)
    for name, rate in rates.items():
        if abs(rate - fps) > 0.01 * fps:
            raise PipelineError(
                f"{found[name]}: {rate:g} labels per second, the others have {fps:g}. Videos that "
                "are scored together must have one rate."
            )
    params = EvaluateParams()
    metrics = summarise(videos, classes, fps, float(params.relaxed_seconds), params.bootstrap)
    if not metrics["videos"]:
        raise PipelineError(f"{truth}: no frame with a label.")
    return Scored(metrics, fps, classes)


def _aligned(prediction: LabelFile, truth: LabelFile) -> tuple[ScoredVideo, float]:
    """Truth at the frames of the prediction, and their rate."""
    if (prediction.labels < 0).any():
        raise PipelineError(f"{prediction.path}: a frame has no prediction.")
    # Other programs round times to milliseconds; frame numbers must be equal.
    row = _nearest(truth.key, prediction.key)
    met = np.abs(truth.key[row] - prediction.key) <= truth.keys_per_s / 2000
    met[1:] &= np.diff(row) > 0
    if not met.all():
        first = prediction.key[np.flatnonzero(~met)[0]]
        raise PipelineError(
            f"{prediction.path}: {_named(first, prediction)} is not in {truth.path}, which holds "
            f"{_named(truth.key[0], truth)} to {_named(truth.key[-1], truth)}."
        )
    video = ScoredVideo(truth.labels[row], prediction.labels, prediction.probabilities)
    if len(prediction.key) == 1:
        return video, 1.0
    # What was left out would otherwise count neither as right nor as wrong. In labels, not in
    # seconds: the times of a variable rate are no even steps.
    steps = np.diff(row)
    usual = float(np.median(steps))
    holes = np.flatnonzero(steps > 1.5 * usual)
    before, after = row[0], len(truth.key) - 1 - row[-1]
    if len(holes) or max(before, after) >= 1.5 * usual:
        where = int(holes[0]) if len(holes) else (0 if before >= 1.5 * usual else -1)
        near = int(prediction.key[where])
        raise PipelineError(
            f"{prediction.path}: predictions are missing near {_named(near, prediction)}, where "
            f"{truth.path} has labels. Predict every frame that is to be scored."
        )
    return video, prediction.keys_per_s / float(np.diff(prediction.key).mean())


def _nearest(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row of the key nearest to each wanted one; `keys` rise."""
    after = np.searchsorted(keys, wanted).clip(0, len(keys) - 1)
    before = (after - 1).clip(0)
    nearer = np.abs(keys[before] - wanted) < np.abs(keys[after] - wanted)
    return np.where(nearer, before, after)


def _named(key: int, file: LabelFile) -> str:
    return f"{key / MICROSECONDS:g} s" if file.keys_per_s == MICROSECONDS else f"frame {key}"
