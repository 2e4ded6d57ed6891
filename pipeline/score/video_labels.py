"""One label per video, such as skill: `score --layout videos`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.errors import PipelineError
from pipeline.evaluate.params import EvaluateParams
from pipeline.metrics.headline import Line, lines_of
from pipeline.metrics.video_level import VIDEO_METRICS, summarise_videos
from pipeline.metrics.wording import interval


def score_videos(predictions: Path, truth: Path) -> dict[str, Any]:
    """Every metric of metrics.video_level.summarise_videos.

    Args:
        predictions: A table with `video`, `prediction` and maybe p_<class> for every class.
        truth: A table with `video`, `truth` and maybe `surgeon`. Classes are in the order of the
            p_ columns, else of their names; of two, the second one is the positive one.

    Raises:
        PipelineError: A column or a video is missing, or a class unknown.
    """
    found, true = _table(predictions, "prediction"), _table(truth, "truth")
    missing = sorted(set(found.index) ^ set(true.index))
    if missing:
        raise PipelineError(
            f"{predictions} and {truth}: {', '.join(missing[:8])} is in one of them only. Each "
            "video needs a prediction and a truth."
        )
    true = true.loc[found.index]
    chances = [c for c in found.columns if c.startswith("p_")]
    classes = [c.removeprefix("p_") for c in chances] or sorted(
        {*found["prediction"], *true["truth"]}
    )
    number = {name: i for i, name in enumerate(classes)}
    unknown = sorted({*found["prediction"], *true["truth"]} - set(number))
    if unknown:
        raise PipelineError(
            f"{predictions} and {truth}: unknown class {', '.join(unknown)}; the p_ columns are of "
            f"{', '.join(classes)}."
        )
    return summarise_videos(
        np.array([number[name] for name in true["truth"]], dtype=np.int64),
        np.array([number[name] for name in found["prediction"]], dtype=np.int64),
        _numbers(found[chances], predictions) if chances else None,
        classes,
        list(true["surgeon"]) if "surgeon" in true else None,
        EvaluateParams().bootstrap,
    )


def headline_of_videos(metrics: dict[str, Any]) -> list[Line]:
    """The metrics for a terminal, from what score_videos returned."""
    lines = lines_of(VIDEO_METRICS, metrics)
    if "surgeons" not in metrics:
        return lines
    found = metrics["surgeons"]["accuracy"]
    ends = interval(lines[-1].metric, found["lowest"], found["highest"])
    return [*lines[:-1], replace(lines[-1], interval=f"{ends} (lowest, highest)")]


def _table(path: Path, column: str) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path}: not a readable table ({error}).") from None
    missing = [name for name in ("video", column) if name not in table]
    if missing or table.empty:
        raise PipelineError(
            f"{path}: {'no rows' if not missing else 'no column ' + ', '.join(missing)}; expected "
            f"video and {column}, found {', '.join(table.columns)}."
        )
    twice = sorted(set(table["video"][table["video"].duplicated()]))
    if twice:
        raise PipelineError(f"{path}: {', '.join(twice)} is in it twice. Keep one row each.")
    return table.set_index("video")


def _numbers(table: pd.DataFrame, path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    try:
        return table.to_numpy(dtype=np.float64)
    except ValueError as error:
        raise PipelineError(f"{path}: a p_ column holds no number ({error}).") from None
