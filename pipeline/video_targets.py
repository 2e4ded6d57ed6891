"""What is predicted of whole videos: a column of data/index/videos.csv as classes or scores."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from pipeline.errors import PipelineError
from pipeline.tables import INDEX, VIDEO_COLUMNS, read_videos
from pipeline.task import Scale

_KEY = "params.yaml: task.target"
_NUMBER = re.compile(r"\s*(-?\d+(\.\d+)?)")


def read_column(name: str, index: Path = INDEX) -> dict[str, str]:
    """The text of each video in a column of videos.csv; empty where it has none.

    Raises:
        PipelineError: The layout tells no such column.
    """
    told = [c for c in read_videos(index).columns if c not in VIDEO_COLUMNS]
    if name not in told:
        allowed = f"Allowed: {', '.join(told)}." if told else "The dataset tells none."
        raise PipelineError(
            f"{_KEY}: found {name!r}, no column that describes videos in {index}/videos.csv. "
            f"{allowed} docs/tasks.md says how to add one."
        )
    # As it is written: 01 stays 01.
    table = pd.read_csv(index / "videos.csv", dtype=str, keep_default_na=False)
    return dict(zip(table["video"], table[name].str.strip(), strict=True))


def ordered(values: Iterable[str]) -> tuple[str, ...]:
    """The different values: by the number with which they begin, then by name; without empty."""
    return tuple(sorted({value for value in values if value}, key=_order))


def _order(value: str) -> tuple[float, str]:
    found = _NUMBER.match(value)
    return (float(found[1]) if found else math.inf, value)


def check_classes(column: str, scale: Scale, values: Sequence[str]) -> tuple[str, ...]:
    """The classes of a column, in order.

    Args:
        column: Its name, for messages.
        scale: "nominal" or "ordinal".
        values: Of the videos to learn from; empty where a video has none.

    Raises:
        PipelineError: There is one value only, the values are scores, or they have no order.
    """
    classes = ordered(values)
    if len(classes) < 2:
        raise PipelineError(
            f"{_KEY}: found {column!r}, of which the training and validation videos have the "
            f"values {', '.join(classes) or '(none)'}; two or more are needed. Choose another "
            "column, or other videos (split)."
        )
    scores = [value for value in classes if _is_fraction(value)]
    if scores:
        raise PipelineError(
            f"{_KEY}: found {column!r} with the value {scores[0]}, but task.scale: {scale} is for "
            "classes. Set task.scale: number."
        )
    if scale == "ordinal":
        unordered = [value for value in classes if _NUMBER.match(value) is None]
        if unordered:
            raise PipelineError(
                f"{_KEY}: found {column!r} with the value {unordered[0]}, but task.scale: ordinal "
                "needs values that begin with a number, such as 1, 2, 3 or 1_novice, 2_expert. "
                "Number them, or set task.scale: nominal."
            )
    return classes


def check_scores(column: str, values: Mapping[str, str]) -> dict[str, float]:
    """The scores of the videos that have one.

    Args:
        column: Its name, for messages.
        values: Text by video; empty where a video has none.

    Raises:
        PipelineError: A value is no number.
    """
    scores = {}
    for video, value in values.items():
        if not value:
            continue
        number = _as_float(value)
        if number is None:
            raise PipelineError(
                f"{_KEY}: found {column!r}, in which the video {video} has the value {value!r}; "
                "task.scale: number needs numbers. Set task.scale: nominal for classes."
            )
        scores[video] = number
    return scores


def _is_fraction(value: str) -> bool:
    number = _as_float(value)
    return number is not None and not number.is_integer()


def _as_float(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
