"""Reading of phase labels as other programs write them."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.phases import CHOLEC80
from pipeline.segments import Labels

CHOLEC80_FPS = 25.0
"""Rate of the frame numbers in Cholec80's files, whatever rate their lines have."""
MICROSECONDS = 1e6
"""Of a second. Tables of predictions hold six digits after the point."""
_SUFFIX = re.compile(r"[-_](phases?|pred(iction)?s?|gt)$")


@dataclass(frozen=True)
class LabelFile:
    """One video's labels.

    Attributes:
        path: Their file, for errors.
        key: (T,) frame number, or time in microseconds; rising.
        keys_per_s: Keys in a second of video: 25 frame numbers, 1,000,000 microseconds.
        labels: (T,) classes, -1 where unlabelled.
        probabilities: (T, C) or None.
    """

    path: Path
    key: NDArray[np.int64]
    keys_per_s: float
    labels: Labels
    probabilities: NDArray[np.float64] | None


def find_files(source: Path, suffix: str) -> dict[str, Path]:
    """Files of a folder (or one file) by the name of their video: video41-phase.txt is video41.

    Raises:
        PipelineError: Nothing is there, or two files belong to one video.
    """
    if not source.exists():
        raise PipelineError(f"{source}: not found. Allowed: a file or a folder of *{suffix} files.")
    paths = sorted(source.glob(f"*{suffix}")) if source.is_dir() else [source]
    if not paths:
        raise PipelineError(f"{source}: no *{suffix} file in it.")
    found: dict[str, Path] = {}
    for path in paths:
        video = _SUFFIX.sub("", path.stem)
        if video in found:
            raise PipelineError(f"{path} and {found[video]} are both of {video}. Keep one.")
        found[video] = path
    return found


def read_cholec80(path: Path, skip_first_line: bool) -> LabelFile:
    """Read lines of a frame number at 25 fps and a phase, by name or by number 0 to 6.

    Args:
        path: The file; columns parted by tabs, spaces or commas. A first line whose frame is no
            number is a header.
        skip_first_line: Drop the first line whatever it holds, as the official script does.

    Raises:
        PipelineError: A line is neither, or frame numbers do not rise.
    """
    text = _text(path).splitlines()
    lines = [
        (n, re.split(r"[\t ,;]+", line.strip())) for n, line in enumerate(text, 1) if line.strip()
    ]
    if lines and (skip_first_line or not lines[0][1][0].isdigit()):
        lines = lines[1:]
    number = {name: i for i, name in enumerate(CHOLEC80)} | {str(i): i for i in range(7)}
    frames, labels = [], []
    for n, fields in lines:
        if len(fields) < 2 or not fields[0].isdigit() or fields[1] not in number:
            raise PipelineError(
                f"{path}: line {n}: found {' '.join(fields)!r}, expected a frame number "
                f"and a phase: 0 to 6 or {', '.join(CHOLEC80)}."
            )
        frames.append(int(fields[0]))
        labels.append(number[fields[1]])
    return _checked(path, frames, CHOLEC80_FPS, labels, None)


def read_csv(path: Path, column: str, classes: Sequence[str]) -> LabelFile:
    """Read a table with `time_s`, a column of phases, and maybe p_<phase> for every phase.

    Args:
        path: The file.
        column: `prediction` or `truth`; `phase` will do for either. Empty: unlabelled.
        classes: Names in class order.

    Raises:
        PipelineError: A column is missing, a phase unknown, a number is none.
    """
    rows = list(csv.DictReader(_text(path).splitlines()))
    columns = list(rows[0]) if rows else []
    labelled_by = column if column in columns else "phase"
    if not rows or "time_s" not in columns or labelled_by not in columns:
        raise PipelineError(
            f"{path}: columns {', '.join(columns) or 'none'}; expected time_s and {column} "
            "(or phase)."
        )
    number = {name: i for i, name in enumerate(classes)} | {"": -1}
    chances = [f"p_{name}" for name in classes]
    with_chances = column == "prediction" and all(p in columns for p in chances)
    keys, labels, probabilities = [], [], []
    for n, row in enumerate(rows, 2):
        try:
            keys.append(round(MICROSECONDS * float(row["time_s"])))
            labels.append(number[row[labelled_by]])
            if with_chances:
                probabilities.append([float(row[p]) for p in chances])
        except (ValueError, TypeError, KeyError) as error:
            raise PipelineError(
                f"{path}: line {n}: found {error}; time_s and p_ are numbers, {labelled_by} is "
                f"one of {', '.join(classes)}."
            ) from None
    found = np.array(probabilities) if with_chances else None
    return _checked(path, keys, MICROSECONDS, labels, found)


def classes_in(paths: Sequence[Path]) -> tuple[str, ...]:
    """The phases of tables: in the order of their p_ columns, else of their first appearance."""
    seen: dict[str, None] = {}
    for path in paths:
        rows = list(csv.DictReader(_text(path).splitlines()))
        ordered = [c.removeprefix("p_") for c in (rows[0] if rows else {}) if c.startswith("p_")]
        if ordered:
            return tuple(ordered)
        for row in rows:
            phase = row.get("truth", row.get("phase")) or ""
            if phase:
                seen.setdefault(phase)
    return tuple(seen)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise PipelineError(f"{path}: not a readable text file ({error}).") from None


def _checked(
    path: Path,
    keys: list[int],
    keys_per_s: float,
    labels: list[int],
    probabilities: NDArray[np.float64] | None,
) -> LabelFile:
    key = np.array(keys, dtype=np.int64)
    if len(key) == 0:
        raise PipelineError(f"{path}: no labels in it.")
    if (np.diff(key) <= 0).any():
        # Equal times too: which of two labels counts at that time would be a guess.
        row = int(np.flatnonzero(np.diff(key) <= 0)[0])
        raise PipelineError(f"{path}: {key[row + 1]} comes after {key[row]}; times must rise.")
    return LabelFile(path, key, keys_per_s, np.array(labels, dtype=np.int64), probabilities)
