"""The frames of a split with their phases and tools, met by time."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.frame_labels import phases_at
from pipeline.frame_store import FrameFile
from pipeline.paths import FRAMES, INDEX
from pipeline.tables import (
    read_labels,
    read_phases,
    read_skipped,
    read_splits,
    read_tools,
)
from pipeline.timebase import labels_at


@dataclass(frozen=True)
class LabelledFrames:
    """Frames of several videos, one row each.

    Attributes:
        containers: (V,) files of the videos.
        fingerprints: (V,) of their content.
        video: (N,) int64, row of `containers`.
        sample: (N,) int64, the frame in its container.
        phase: (N,) int64 class, -1 where unlabelled.
        tools: (N, K) float32 of 0 and 1, NaN where unlabelled; K may be 0.
    """

    containers: tuple[Path, ...]
    fingerprints: tuple[str, ...]
    video: NDArray[np.int64]
    sample: NDArray[np.int64]
    phase: NDArray[np.int64]
    tools: NDArray[np.float32]

    def __post_init__(self) -> None:
        if not len(self.video) == len(self.sample) == len(self.phase) == len(self.tools):
            raise ValueError(
                f"{len(self.video)} videos, {len(self.sample)} samples, {len(self.phase)} phases "
                f"and {len(self.tools)} rows of tools are not aligned"
            )

    def __len__(self) -> int:
        return len(self.sample)

    def name(self, row: int) -> str:
        """`<video>_<sample>`, six digits, so that names sort as frames do."""
        return f"{self.containers[self.video[row]].stem}_{self.sample[row]:06d}"

    def labelled(self) -> "LabelledFrames":
        """Only the frames that have a phase."""
        return self.take(np.flatnonzero(self.phase >= 0))

    def take(self, rows: NDArray[np.intp]) -> "LabelledFrames":
        """These rows, in this order."""
        return LabelledFrames(
            self.containers,
            self.fingerprints,
            self.video[rows],
            self.sample[rows],
            self.phase[rows],
            self.tools[rows],
        )


def read_frames(
    splits: tuple[str, ...], labels: bool = True, frames: Path = FRAMES, index: Path = INDEX
) -> LabelledFrames:
    """All frames of the videos of these splits, without what was lost or skipped as damaged.

    Args:
        splits: Some of train, val, test.
        labels: Whether phases and tools are read; without them all rows are unlabelled.
        frames: Folder of containers.
        index: Folder of tables.

    Raises:
        PipelineError: A container is missing, or a label is none of the phases.
    """
    table = read_splits(index)
    skipped = set(read_skipped(frames)["video"])
    wanted = table[table["split"].isin(splits) & ~table["video"].isin(skipped)]["video"]
    phases = read_phases(index) if labels else ()
    runs = read_labels(index) if labels else None
    tools = read_tools(index) if labels else None
    names = [] if tools is None else [c for c in tools.columns if c not in ("video", "time_s")]
    containers: list[Path] = []
    fingerprints: list[str] = []
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
    for video in wanted:
        path = frames / f"{video}.h5"
        with FrameFile(path) as file:
            samples, time_s = file.kept, file.time_s[file.kept]
            fingerprints.append(str(file.attributes["fingerprint"]))
        containers.append(path)
        phase = np.full(len(time_s), -1, dtype=np.int64)
        present = np.full((len(time_s), len(names)), np.nan, dtype=np.float32)
        if runs is not None:
            phase = phases_at(time_s, runs[runs["video"] == video], phases, index)
        if tools is not None and names:
            present = _tools(time_s, tools[tools["video"] == video], names)
        parts.append((samples, phase, present))
    return LabelledFrames(
        tuple(containers),
        tuple(fingerprints),
        np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts]).astype(np.int64),
        np.concatenate([part[0] for part in parts] or [np.zeros(0, np.int64)]),
        np.concatenate([part[1] for part in parts] or [np.zeros(0, np.int64)]),
        np.concatenate([part[2] for part in parts] or [np.zeros((0, len(names)), np.float32)]),
    )


def _tools(
    time_s: NDArray[np.float64], rows: pd.DataFrame, names: list[str]
) -> NDArray[np.float32]:
    """The tools of each frame: those of the label row at its time, valid until the next row."""
    starts = rows["time_s"].to_numpy(dtype=np.float64)
    if len(starts) == 0:
        return np.full((len(time_s), len(names)), np.nan, dtype=np.float32)
    # The rows stand for seconds; the last of a gap, and of all, is valid as long as the shortest.
    step_s = float(np.diff(starts).min()) if len(starts) > 1 else 1.0
    row = labels_at(time_s, starts, starts + step_s, np.arange(len(starts), dtype=np.int64))
    found = rows[names].to_numpy(dtype=np.float32)[np.maximum(row, 0)]
    found[row < 0] = np.nan
    return found
