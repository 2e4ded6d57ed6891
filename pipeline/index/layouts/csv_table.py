"""The generic layout: any videos, and one CSV of runs or of frames.

Runs: `video,start_s,end_s,phase`. Frames: `video,frame,phase`, numbered from 0 as the video shows
them. Either may have a column `split`, and behind `phase` further columns, such as `step`: each is
a track of its own, and an empty cell is unlabelled in its track. Classes are numbered in order of
first appearance.

A table videos.csv beside it may tell more of each video (video_table.py). With it alone no frame is
labelled.
"""

import csv
import itertools
import re
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.index.layouts.dataset import (
    Dataset,
    Probes,
    Run,
    Track,
    check_length,
    find_videos,
    runs_of_frames,
)
from pipeline.index.layouts.video_table import TABLE, read_video_table
from pipeline.index.probe import Probe

_RUNS = ["video", "start_s", "end_s", "phase"]
_FRAMES = ["video", "frame", "phase"]
_SPLITS = ("train", "val", "test")
_TRACK = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")  # it names files and keys of metrics

Rows = dict[str, list[tuple[int, dict[str, str]]]]
"""Of each video the good rows, with their lines."""


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
        per_frame = header[:3] == _FRAMES
        tracks = header[3:] if per_frame else header[4:]
        begun = per_frame or header[:4] == _RUNS
        if not begun or len(set(header)) < len(header) or not all(map(_TRACK.fullmatch, tracks)):
            raise PipelineError(
                f"{table}:1: header {','.join(reader.fieldnames or [])!r}, expected "
                f"{','.join(_RUNS)!r} or {','.join(_FRAMES)!r}, either with `,split` and with "
                "further tracks such as `,step`, each once, of letters, digits, _ and -."
            )
        rows = [(reader.line_num, row) for row in reader]
    good: Rows = {}
    classes: dict[str, dict[str, None]] = {name: {} for name in ("phase", *tracks)}
    for line, row in rows:
        problem = _problem(row, list(classes), per_frame, dataset)
        if problem:
            dataset.problems.append(f"{table}:{line}: {problem}")
        else:
            good.setdefault(row["video"], []).append((line, row))
            for name, found in classes.items():
                if row[name].strip():
                    found.setdefault(row[name])
    dataset.phases = tuple(classes["phase"])
    dataset.tracks = {name: Track(tuple(classes[name]), {}) for name in tracks if classes[name]}
    for name, track in dataset.tracks.items():
        dataset.notes.append(
            f"{table}: {len(track.classes)} classes of {name} beside the phases; task.tracks: "
            f"[phase, {name}] learns both"
        )
    if good and not dataset.phases:
        dataset.problems.append(f"{table}: no row has a phase. Label some of the time.")
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
        if per_frame and not length.fps:
            continue
        runs_of = {"phase": dataset.runs} | {name: t.runs for name, t in dataset.tracks.items()}
        for name, runs in runs_of.items():
            if per_frame:
                runs[video] = _frame_runs(good[video], name, length, table, dataset)
            else:
                runs[video] = _time_runs(good[video], name, table, dataset)
                if tracks:  # a row for each step repeats the phase
                    runs[video] = _joined(runs[video])
        ends_s = [runs[video][-1].end_s for runs in runs_of.values() if runs[video]]
        if ends_s and not length.problem:
            last_s = max(ends_s)
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


def _problem(row: dict[str, str], tracks: list[str], per_frame: bool, dataset: Dataset) -> str:
    """What is wrong with a row by itself, or nothing."""
    if None in row.values() or None in row:
        return f"has another number of fields than the header: {list(row.values())}."
    if row["video"] not in dataset.paths:
        return (
            f"the video {row['video']!r} is not there. Its name is that of a video file below "
            "data.root, without the ending."
        )
    if not any(row[name].strip() for name in tracks):
        return f"has no {' and no '.join(tracks)}. Leave the row out where nothing is labelled."
    if per_frame:
        return "" if row["frame"].isdecimal() else f"frame {row['frame']!r} is no whole number."
    try:
        start_s, end_s = float(row["start_s"]), float(row["end_s"])
    except ValueError:
        return f"start_s {row['start_s']!r}, end_s {row['end_s']!r}: expected seconds."
    if not 0 <= start_s < end_s:
        return f"from {start_s:g} s to {end_s:g} s: a run starts at 0 or later and ends after it."
    return ""


def _time_runs(
    rows: list[tuple[int, dict[str, str]]], track: str, table: Path, dataset: Dataset
) -> list[Run]:
    runs: list[Run] = []
    labelled = [(line, row) for line, row in rows if row[track].strip()]
    for line, row in sorted(labelled, key=lambda item: float(item[1]["start_s"])):
        run = Run(float(row["start_s"]), float(row["end_s"]), row[track])
        if runs and run.start_s < runs[-1].end_s - 1e-6:
            dataset.problems.append(
                f"{table}:{line}: {row['video']}: {run.phase} starts at {run.start_s:g} s, but "
                f"{runs[-1].phase} goes on to {runs[-1].end_s:g} s. Runs must not overlap."
            )
        runs.append(run)
    return runs


def _joined(runs: list[Run]) -> list[Run]:
    """Runs of one class that touch become one."""
    joined: list[Run] = []
    for run in runs:
        last = joined[-1] if joined else None
        if last and last.phase == run.phase and abs(last.end_s - run.start_s) < 1e-6:
            joined[-1] = Run(last.start_s, run.end_s, run.phase)
        else:
            joined.append(run)
    return joined


def _frame_runs(
    rows: list[tuple[int, dict[str, str]]],
    track: str,
    length: Probe,
    table: Path,
    dataset: Dataset,
) -> list[Run]:
    rows = sorted(rows, key=lambda item: int(item[1]["frame"]))
    frames = [int(row["frame"]) for _, row in rows]
    gaps = [b - a for a, b in itertools.pairwise(frames)]
    for (line, row), gap in zip(rows[1:], gaps, strict=True):
        if gap == 0 and track == "phase":
            dataset.problems.append(
                f"{table}:{line}: {row['video']}: frame {row['frame']} has two labels."
            )
    step = max(1, min(gaps, default=1))
    labelled = [(int(row["frame"]), row[track]) for _, row in rows if row[track].strip()]
    frames, labels = [frame for frame, _ in labelled], [label for _, label in labelled]
    return runs_of_frames(frames, labels, lambda frame: _seconds(frame, length), step)


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
