"""The small tables of data/index that every stage meets through, and those of damaged videos."""

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline import paths
from pipeline.atomic import write_text
from pipeline.errors import PipelineError

INDEX = paths.INDEX
SPLITS = ("train", "val", "test")

VIDEO_COLUMNS = (
    *("video", "path", "sha256", "width", "height"),
    *("fps", "frames", "duration_s", "problem"),
)
"""Of videos.csv in every layout; those that follow are what a layout tells of its videos."""

_COLUMNS: dict[str, Sequence[str]] = {
    "videos.csv": VIDEO_COLUMNS,
    "labels.csv": ["video", "start_s", "end_s", "phase"],
    "splits.csv": ["video", "split"],
    "phases.csv": ["phase"],
    "skipped.csv": ["video", "reason"],
    "masked.csv": ["video", "lost", "samples"],
    "tools.csv": ["video", "time_s"],
}
_TEXT = {
    column: str for column in ("video", "path", "sha256", "problem", "phase", "split", "reason")
}


def read_videos(folder: Path = INDEX) -> pd.DataFrame:
    """videos.csv: one row per video; `problem` is empty or says why it cannot be read."""
    return _read(folder / "videos.csv")


def read_labels(folder: Path = INDEX) -> pd.DataFrame:
    """labels.csv: runs of one phase, [start_s, end_s) in seconds, in order, no overlap."""
    return _read(folder / "labels.csv")


def read_splits(folder: Path = INDEX, fold: int | None = None) -> pd.DataFrame:
    """splits.csv: the split, train, val or test, of each video.

    Args:
        folder: Of the tables.
        fold: Which of the folds, from 1; None where there are none, as read_folds says.

    Raises:
        PipelineError: Folds are there and none is named, or one is named that is not there.
    """
    path = folder / "splits.csv"
    table = _read(path)
    folds = _folds(table)
    if fold not in folds:
        found = f"folds 1 to {len(folds)}" if None not in folds else "a single split"
        raise PipelineError(
            f"{path}: holds {found}, where {f'fold {fold}' if fold else 'a single split'} is "
            "needed. Set split.fold to one of the folds (null: all of them) and run "
            "`dvc repro index`."
        )
    own = table if fold is None else table[table["fold"] == fold]
    return own[["video", "split"]].reset_index(drop=True)


def read_folds(folder: Path = INDEX) -> tuple[int | None, ...]:
    """The folds of splits.csv, from 1; (None,) where it is a single split."""
    return _folds(_read(folder / "splits.csv"))


def read_test_folds(folder: Path = INDEX) -> dict[str, int | None]:
    """The fold in which each test video is one; None where there is a single split."""
    table = _read(folder / "splits.csv")
    tests = table[table["split"] == "test"]
    folds = tests["fold"].tolist() if "fold" in tests else [None] * len(tests)
    return dict(zip(tests["video"], folds, strict=True))


def _folds(table: pd.DataFrame) -> tuple[int | None, ...]:
    return tuple(sorted(set(table["fold"].tolist()))) if "fold" in table else (None,)


def read_phases(folder: Path = INDEX) -> tuple[str, ...]:
    """The phases in the order of their class numbers."""
    return tuple(_read(folder / "phases.csv")["phase"])


def read_tools(folder: Path = INDEX) -> pd.DataFrame:
    """tools.csv: video, time_s and a column of 0 and 1 per tool; no rows where none are known."""
    return _read(folder / "tools.csv")


def read_skipped(folder: Path) -> pd.DataFrame:
    """skipped.csv of data/frames or features: damaged videos that were left out, and why."""
    return _read(folder / "skipped.csv")


def read_masked(folder: Path) -> pd.DataFrame:
    """masked.csv of data/frames or features: how many samples damaged videos lost, of how many."""
    path = folder / "masked.csv"
    return _read(path) if path.is_file() else pd.DataFrame(columns=list(_COLUMNS["masked.csv"]))


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table with at most six digits after the point; the same table, the same bytes."""
    text = frame.copy()
    for column in text.columns:
        if pd.api.types.is_float_dtype(text[column]):
            text[column] = [_decimal(value) for value in text[column]]
    write_text(path, text.to_csv(index=False, lineterminator="\n"))


def _decimal(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _read(path: Path) -> pd.DataFrame:
    """A table with its texts as text: a video called 01 stays 01, an empty field stays empty."""
    try:
        table = pd.read_csv(
            path,
            dtype=_TEXT,
            keep_default_na=False,
            na_values={
                column: [""] for column in ("width", "height", "fps", "frames", "duration_s")
            },
        )
    except FileNotFoundError:
        raise PipelineError(
            f"{path}: not found. `dvc repro` makes it; it belongs to an earlier stage."
        ) from None
    missing = [name for name in _COLUMNS[path.name] if name not in table.columns]
    if missing:
        raise PipelineError(
            f"{path}: column {', '.join(missing)} is missing; found {', '.join(table.columns)}."
        )
    return table
