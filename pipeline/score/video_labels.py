"""One label per video, such as skill: `score --layout videos`."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.errors import PipelineError
from pipeline.evaluate.params import EvaluateParams
from pipeline.metrics.headline import Figure, interval, percent
from pipeline.metrics.video_level import summarise_videos

_NAMES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1, mean over classes",
    "f1_positive": "F1 of the second class",
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
}


def score_videos(predictions: Path, truth: Path) -> dict[str, Any]:
    """Every metric of video_metrics.summarise_videos.

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


def figures(metrics: dict[str, Any]) -> list[Figure]:
    """The figures for a terminal."""
    rows = [
        Figure(
            key,
            name,
            percent(metrics[key]["value"]),
            interval(metrics[key].get("ci_low"), metrics[key].get("ci_high")),
        )
        for key, name in _NAMES.items()
        if key in metrics
    ]
    if "surgeons" in metrics:
        over = metrics["surgeons"]["accuracy"]
        text = percent(over["mean"])
        if over["std"] is not None:
            text = f"{100 * over['mean']:.1f} ± {100 * over['std']:.1f} %"
        span = f"{100 * over['lowest']:.1f} to {100 * over['highest']:.1f} % (lowest, highest)"
        rows.append(Figure("surgeons.accuracy", "Accuracy over surgeons", text, span))
    return rows


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
        raise PipelineError(f"{path}: {', '.join(twice)} stands there twice. Keep one row each.")
    return table.set_index("video")


def _numbers(table: pd.DataFrame, path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    try:
        return table.to_numpy(dtype=np.float64)
    except ValueError as error:
        raise PipelineError(f"{path}: a p_ column holds no number ({error}).") from None
