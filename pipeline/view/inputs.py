"""What is known of a video that is to be shown: its file, its prediction, its labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import paths
from pipeline.errors import PipelineError
from pipeline.explain.request import find_video
from pipeline.frame_labels import phases_at
from pipeline.scored_video import Probabilities
from pipeline.segments import Labels
from pipeline.settings import read_value
from pipeline.tables import read_labels, read_videos

_RUNS = ("video", "start_s", "end_s", "phase")


@dataclass(frozen=True)
class Shown:
    """A video with its prediction.

    Attributes:
        name: Identifier: that of videos.csv, or the file's name without its ending.
        path: The video file.
        in_dataset: Whether videos.csv names it, so that nothing is written beside it.
        prediction_file: Where the prediction was read.
        time_s: (T,) seconds of the samples, ascending.
        classes: Names in class order.
        prediction: (T,) classes, -1 where the model left a sample unlabelled.
        probabilities: (T, C).
    """

    name: str
    path: Path
    in_dataset: bool
    prediction_file: Path
    time_s: NDArray[np.float64]
    classes: tuple[str, ...]
    prediction: Labels
    probabilities: Probabilities

    @property
    def fps(self) -> float:
        """Samples per second; 1 where there is only one sample."""
        if len(self.time_s) < 2:
            return 1.0
        return (len(self.time_s) - 1) / float(self.time_s[-1] - self.time_s[0])


def read_shown(asked: str, prediction: Path | None) -> Shown:
    """Find a video and read its prediction.

    Args:
        asked: A video of data/index/videos.csv, by its name or its file, or any other video file.
        prediction: Its table; None is reports/predictions/<video>.csv.

    Raises:
        PipelineError: There is no such video or no such table, or the table is none of predictions.
    """
    name, path, in_dataset = _found(asked)
    table = prediction or paths.PREDICTIONS / f"{name}.csv"
    if not table.is_file():
        advice = (
            "Name the right file after --prediction."
            if prediction
            else f"The report holds test videos only. For others run `python -m pipeline predict "
            f"{path}` and name its table after --prediction."
        )
        raise PipelineError(f"{table}: there is no prediction of {name}. {advice}")
    return Shown(name, path, in_dataset, table, *_read_table(table))


def read_truth(shown: Shown, table: Path | None) -> Labels | None:
    """The labelled phases of a video, (T,), -1 where unlabelled.

    Args:
        shown: The video.
        table: Runs as labels.csv holds them; None is data/index/labels.csv.

    Returns:
        None where no table is named, and the index has no label of this video or labels it with
        phases that the model does not know, such as those of another dataset.

    Raises:
        PipelineError: The named table is missing, has another header, nothing of this video, or
            phases that the model does not know.
    """
    if table is None:
        if not (paths.INDEX / "labels.csv").is_file():
            return None
        labels = read_labels()
        runs = labels[labels["video"] == shown.name]
        if runs.empty or not set(runs["phase"]) <= set(shown.classes):
            return None
        return phases_at(shown.time_s, runs, shown.classes, paths.INDEX)
    runs = _runs_of(table, shown.name)
    unknown = sorted(set(runs["phase"]) - set(shown.classes))
    if unknown:
        raise PipelineError(
            f"{table}: the prediction has no phase {', '.join(unknown)}. It has: "
            f"{', '.join(shown.classes)}."
        )
    return phases_at(shown.time_s, runs, shown.classes, paths.INDEX)


def _found(asked: str) -> tuple[str, Path, bool]:
    """Identifier and file of a video, and whether videos.csv names it."""
    indexed, file = (paths.INDEX / "videos.csv").is_file(), Path(asked)
    if indexed:
        try:
            name = find_video(asked)
        except PipelineError:
            if not file.is_file():
                raise
        else:
            table = read_videos().set_index("video")
            return name, Path(read_value("data.root", str)) / str(table.loc[name, "path"]), True
    if not file.is_file():
        raise PipelineError(
            f"{asked}: no such file. Name a video file, or after `dvc repro` a video of "
            f"{paths.INDEX / 'videos.csv'}."
        )
    return file.stem, file, False


def _read_table(
    path: Path,
) -> tuple[NDArray[np.float64], tuple[str, ...], Labels, Probabilities]:
    """Times, classes, prediction and probabilities of a table."""
    table = _csv(path, {"truth": str, "prediction": str})
    classes = tuple(str(c)[2:] for c in table.columns if str(c).startswith("p_"))
    missing = [name for name in ("time_s", "prediction") if name not in table]
    if not classes:
        missing.append("p_<phase>")
    if missing or table.empty:
        found = f"no column {', '.join(missing)}" if missing else "no rows"
        raise PipelineError(
            f"{path}: {found}; expected time_s, prediction and one p_<phase> per phase, as "
            "`python -m pipeline predict` and the evaluate stage write them."
        )
    number = {name: i for i, name in enumerate(classes)} | {"": -1}
    unknown = sorted(set(table["prediction"]) - set(number))
    if unknown:
        raise PipelineError(
            f"{path}: prediction holds {', '.join(map(repr, unknown[:5]))}; allowed: "
            f"{', '.join(classes)}."
        )
    try:
        time_s = table["time_s"].to_numpy(dtype=np.float64)
        probabilities = table[[f"p_{name}" for name in classes]].to_numpy(dtype=np.float64)
    except ValueError as error:
        raise PipelineError(f"{path}: time_s and p_<phase> are numbers ({error}).") from None
    if not (np.isfinite(time_s).all() and (np.diff(time_s) > 0).all()):
        raise PipelineError(f"{path}: time_s must rise from row to row.")
    if not np.isfinite(probabilities).all():
        raise PipelineError(
            f"{path}: p_<phase> holds a value that is no finite number; allowed: 0 to 1."
        )
    prediction = np.array([number[name] for name in table["prediction"]], dtype=np.int64)
    return time_s, classes, prediction, probabilities


def _runs_of(path: Path, video: str) -> pd.DataFrame:
    """The rows of one video in a table of runs, in order."""
    if not path.is_file():
        raise PipelineError(f"{path}: no such file. Name a table of labels after --truth.")
    table = _csv(path, {"video": str, "phase": str})
    missing = [name for name in _RUNS if name not in table]
    if missing:
        raise PipelineError(
            f"{path}: column {', '.join(missing)} is missing; expected {','.join(_RUNS)}."
        )
    runs = table[table["video"] == video]
    if runs.empty:
        raise PipelineError(f"{path}: has no row of the video {video}.")
    try:
        return runs.astype({"start_s": float, "end_s": float}).sort_values("start_s")
    except ValueError as error:
        raise PipelineError(f"{path}: start_s and end_s are seconds ({error}).") from None


def _csv(path: Path, texts: dict[str, type[str]]) -> pd.DataFrame:
    try:
        return pd.read_csv(path, keep_default_na=False, dtype=texts)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path}: not a table ({error}).") from None
