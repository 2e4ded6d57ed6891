"""The frames of a split with their classes and tools, matched by time."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.clips import stored_clips
from pipeline.errors import PipelineError
from pipeline.frame_labels import phases_at
from pipeline.frame_store import FrameFile
from pipeline.paths import FRAMES, INDEX
from pipeline.tables import (
    read_labels,
    read_phases,
    read_skipped,
    read_splits,
    read_tools,
    read_videos,
)
from pipeline.timebase import labels_at

PHASE = "phase"
"""The target for which frames have the classes of labels.csv."""


def read_frames(
    splits: tuple[str, ...],
    labels: bool = True,
    target: str = PHASE,
    frames: Path = FRAMES,
    index: Path = INDEX,
    fold: int | None = None,
) -> LabelledFrames:
    """All frames of the videos of these splits, without damaged videos and lost samples.

    Args:
        splits: Some of train, val, test.
        labels: Whether classes and tools are read; without them all rows are unlabelled.
        target: What the classes are, see read_classes.
        frames: Folder of containers.
        index: Folder of tables.
        fold: Of which fold, from 1; None where there is a single split.

    Raises:
        PipelineError: A container is missing, a label is none of the phases, or there is no such
            target.
    """
    table = read_splits(index, fold)
    skipped = set(read_skipped(frames)["video"])
    wanted = table[table["split"].isin(splits) & ~table["video"].isin(skipped)]["video"]
    known = _Labels.read(index, target, fold) if labels else None
    clips = stored_clips(frames)
    containers: list[Path] = []
    fingerprints: list[str] = []
    rows: list[NDArray[np.int64]] = []
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
    for video in wanted:
        path = frames / f"{video}.h5"
        with FrameFile(path) as file:
            samples = clips.samples(len(file)) if clips else np.arange(len(file))
            # Lost samples have no image to learn from.
            kept = samples[~file.lost[samples]]
            if clips:
                rows.append(clips.rows(~file.lost)[~file.lost[samples]])
            time_s = file.time_s[kept]
            fingerprints.append(str(file.attributes["fingerprint"]))
        containers.append(path)
        if known is None:
            classes = np.full(len(time_s), -1, dtype=np.int64)
            tools = np.zeros((len(time_s), 0), dtype=np.float32)
        else:
            classes, tools = known.at(time_s, video)
        parts.append((kept.astype(np.int64), classes, tools))
    no_tools = np.zeros((0, len(known.tool_names) if known else 0), np.float32)
    return LabelledFrames(
        tuple(containers),
        tuple(fingerprints),
        np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts]).astype(np.int64),
        np.concatenate([part[0] for part in parts] or [np.zeros(0, np.int64)]),
        np.concatenate([part[1] for part in parts] or [np.zeros(0, np.int64)]),
        np.concatenate([part[2] for part in parts] or [no_tools]),
        np.concatenate(rows) if rows else None,
    )


def read_classes(target: str, index: Path = INDEX, fold: int | None = None) -> tuple[str, ...]:
    """The classes that are learnt, in the order of their numbers.

    Args:
        target: `phase`, or a column of videos.csv, such as experience: then every frame of a video
            has the video's value. The classes are the values of training and validation videos.
        index: Folder of tables.
        fold: Whose training and validation videos count; None where there is a single split.

    Raises:
        PipelineError: There is no such column, or it does not hold two values.
    """
    if target == PHASE:
        return read_phases(index)
    values = _values(target, index)
    splits = read_splits(index, fold)
    seen = splits[splits["split"] != "test"]["video"]
    classes = tuple(sorted({values[video] for video in seen if values.get(video)}))
    if len(classes) < 2:
        raise PipelineError(
            f"params.yaml: backbone.finetune.target: found {target!r}, of which the training and "
            f"validation videos have the values {', '.join(classes) or '(none)'} in "
            f"{index}/videos.csv; two or more are needed."
        )
    return classes


def _values(target: str, index: Path) -> dict[str, str]:
    """The value of each video in a column of videos.csv; empty where it has none."""
    videos = read_videos(index)
    if target not in videos.columns:
        raise PipelineError(
            f"params.yaml: backbone.finetune.target: found {target!r}. Allowed: {PHASE}, or a "
            f"column of {index}/videos.csv: {', '.join(videos.columns[1:])}."
        )
    return dict(zip(videos["video"], videos[target].astype(str), strict=True))


def read_tool_names(index: Path = INDEX) -> tuple[str, ...]:
    """The tools of tools.csv, in the order of its columns."""
    return tuple(c for c in read_tools(index).columns if c not in ("video", "time_s"))


@dataclass(frozen=True)
class _Labels:
    """The tables of labels, read once for all videos."""

    index: Path
    runs: pd.DataFrame
    classes: tuple[str, ...]
    values: dict[str, str] | None
    tools: pd.DataFrame
    tool_names: tuple[str, ...]

    @classmethod
    def read(cls, index: Path, target: str, fold: int | None) -> "_Labels":
        return cls(
            index,
            read_labels(index),
            read_classes(target, index, fold),
            None if target == PHASE else _values(target, index),
            read_tools(index),
            read_tool_names(index),
        )

    def at(
        self, time_s: NDArray[np.float64], video: str
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Class (T,) and tools (T, K) of the video's frames at these seconds."""
        rows = self.tools[self.tools["video"] == video]
        tools = _tools(time_s, rows, self.tool_names)
        if self.values is None:
            runs = self.runs[self.runs["video"] == video]
            return phases_at(time_s, runs, self.classes, self.index), tools
        # A video without a value, or with one that no other has, is unlabelled.
        value = self.values.get(video, "")
        number = self.classes.index(value) if value in self.classes else -1
        return np.full(len(time_s), number, dtype=np.int64), tools


def _tools(
    time_s: NDArray[np.float64], rows: pd.DataFrame, names: tuple[str, ...]
) -> NDArray[np.float32]:
    """The tools of each frame: those of the label row at its time, valid until the next row."""
    starts = rows["time_s"].to_numpy(dtype=np.float64)
    if len(starts) == 0 or not names:
        return np.full((len(time_s), len(names)), np.nan, dtype=np.float32)
    # The rows stand for seconds; the last of a gap, and of all, is valid as long as the shortest.
    step_s = float(np.diff(starts).min()) if len(starts) > 1 else 1.0
    row = labels_at(time_s, starts, starts + step_s, np.arange(len(starts), dtype=np.int64))
    found = rows[list(names)].to_numpy(dtype=np.float32)[np.maximum(row, 0)]
    found[row < 0] = np.nan
    return found
