"""The generic layout: any videos, and one CSV of runs or of frames.

Runs: `video,start_s,end_s,phase`. Frames: `video,frame,phase`, numbered from 0 as the video shows
them. Either may have a column `split`. Classes are numbered in order of first appearance.

A table videos.csv beside it may tell more of each video (video_table.py). With it alone no frame is
labelled.
"""

import csv
import itertools
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.index.layouts.dataset import (
    Dataset,
    Probes,
    Run,
    check_length,
    find_videos,
    runs_of_frames,
)
from pipeline.index.layouts.video_table import TABLE, read_video_table
from pipeline.index.probe import Probe

_RUNS = ["video", "start_s", "end_s", "phase"]
_FRAMES = ["video", "frame", "phase"]
_SPLITS = ("train", "val", "test")


def read(root: Path, probes: Probes) -> Dataset:
    """The videos below root with the labels of its table.

    Raises:
        PipelineError: No videos, no table, or a table with another header.
    """
    dataset = Dataset(find_videos(root))
    table = _table(root)
    told = (root / TABLE).is_file() and table != root / TABLE
    if told:
        read_video_table(root / TABLE, dataset)
        if table is None:
            return dataset
    if table is None:
        raise PipelineError(
            f"{root}: expected one table of labels, phases.csv, with the header "
            f"{','.join(_RUNS)!r}, or {TABLE} with what is told of whole videos; found "
            f"{', '.join(path.name for path in _tables(root)) or 'none'}."
        )
    with table.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        header = [name for name in reader.fieldnames or [] if name != "split"]
        if header not in (_RUNS, _FRAMES):
            raise PipelineError(
                f"{table}:1: header {','.join(reader.fieldnames or [])!r}, expected "
                f"{','.join(_RUNS)!r} or {','.join(_FRAMES)!r}, either with `,split`."
            )
        rows = [(reader.line_num, row) for row in reader]
    per_frame = header == _FRAMES
    good: dict[str, list[tuple[int, dict[str, str]]]] = {}
    phases: dict[str, None] = {}
    for line, row in rows:
        problem = _problem(row, per_frame, dataset)
        if problem:
            dataset.problems.append(f"{table}:{line}: {problem}")
        else:
            good.setdefault(row["video"], []).append((line, row))
            phases.setdefault(row["phase"])
    dataset.phases = tuple(phases)
    if "split" in (reader.fieldnames or []):
        if dataset.split is not None:
            dataset.problems.append(
                f"{table} and {root / TABLE}: both have a column `split`. Keep one of them."
            )
        dataset.split = _splits(rows, table, dataset)
    for video, path in dataset.paths.items():
        if video not in good:
            dataset.problems.append(
                f"{table}: no row for the video {path}. Label it, or move it away."
            )
            continue
        length = probes(path)
        if per_frame:
            if not length.fps:
                continue
            dataset.runs[video] = _frame_runs(good[video], length, table, dataset)
        else:
            dataset.runs[video] = _time_runs(good[video], table, dataset)
        if not length.problem and dataset.runs[video]:
            last_s = dataset.runs[video][-1].end_s
            check_length(dataset, video, last_s, length.duration_s, str(table), covers=False)
    return dataset


def _table(root: Path) -> Path | None:
    """`phases.csv`, `labels.csv`, or the only CSV of the folder; None where there is none."""
    for name in ("phases.csv", "labels.csv"):
        if (root / name).is_file():
            return root / name
    tables = _tables(root)
    return tables[0] if len(tables) == 1 else None


def _tables(root: Path) -> list[Path]:
    """The CSVs of a folder that may hold labels of frames."""
    found = sorted(root.glob("[!.]*.csv"))
    return [path for path in found if path.name != TABLE or _has_labels(path)]


def _has_labels(table: Path) -> bool:
    with table.open(encoding="utf-8-sig", newline="") as file:
        return "phase" in next(csv.reader(file), [])


def _problem(row: dict[str, str], per_frame: bool, dataset: Dataset) -> str:
    """What is wrong with a row by itself, or nothing."""
    if None in row.values() or None in row:
        return f"has another number of fields than the header: {list(row.values())}."
    if row["video"] not in dataset.paths:
        return (
            f"the video {row['video']!r} is not there. Its name is that of a video file below "
            "data.root, without the ending."
        )
    if not row["phase"].strip():
        return "has no phase. Leave the row out where nothing is labelled."
    if per_frame:
        return "" if row["frame"].isdecimal() else f"frame {row['frame']!r} is no whole number."
    try:
        start_s, end_s = float(row["start_s"]), float(row["end_s"])
    except ValueError:
        return f"start_s {row['start_s']!r}, end_s {row['end_s']!r}: expected seconds."
    if not 0 <= start_s < end_s:
        return f"from {start_s:g} s to {end_s:g} s: a run starts at 0 or later and ends after it."
    return ""


def _time_runs(rows: list[tuple[int, dict[str, str]]], table: Path, dataset: Dataset) -> list[Run]:
    runs: list[Run] = []
    for line, row in sorted(rows, key=lambda item: float(item[1]["start_s"])):
        run = Run(float(row["start_s"]), float(row["end_s"]), row["phase"])
        if runs and run.start_s < runs[-1].end_s - 1e-6:
            dataset.problems.append(
                f"{table}:{line}: {row['video']}: {run.phase} starts at {run.start_s:g} s, but "
                f"{runs[-1].phase} goes on to {runs[-1].end_s:g} s. Runs must not overlap."
            )
        runs.append(run)
    return runs


def _frame_runs(
    rows: list[tuple[int, dict[str, str]]], length: Probe, table: Path, dataset: Dataset
) -> list[Run]:
    rows = sorted(rows, key=lambda item: int(item[1]["frame"]))
    frames = [int(row["frame"]) for _, row in rows]
    gaps = [b - a for a, b in itertools.pairwise(frames)]
    for (line, row), gap in zip(rows[1:], gaps, strict=True):
        if gap == 0:
            dataset.problems.append(
                f"{table}:{line}: {row['video']}: frame {row['frame']} has two labels."
            )
    step = max(1, min(gaps, default=1))
    phases = [row["phase"] for _, row in rows]
    return runs_of_frames(frames, phases, lambda frame: _seconds(frame, length), step)


def _seconds(frame: int, length: Probe) -> float:
    """When a frame of a video is shown; behind the last one, as if the video went on."""
    times = length.frame_times_s
    if not times:
        return frame / length.fps
    if frame < len(times):
        return times[frame]
    return length.duration_s + (frame - len(times)) / length.fps


def _splits(
    rows: list[tuple[int, dict[str, str]]], table: Path, dataset: Dataset
) -> dict[str, str]:
    splits: dict[str, str] = {}
    for line, row in rows:
        video, split = row["video"], row["split"]
        if split not in _SPLITS:
            dataset.problems.append(
                f"{table}:{line}: split {split!r}. Allowed: {', '.join(_SPLITS)}."
            )
        elif splits.setdefault(video, split) != split:
            dataset.problems.append(
                f"{table}:{line}: the video {video} is in {splits[video]} and in {split}; one "
                "video belongs to one split."
            )
    return splits
