"""Cataract-101: videos/case_NNN.mp4, annotations.csv, phases.csv and videos.csv with `;`.

annotations.csv holds the frame at which each phase STARTS; what comes before the first start is
unlabelled, and the last phase goes on to the end of the video.
"""

import csv
import math
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.index.layouts.dataset import Dataset, Probes, Run, check_length, find_videos

_COLUMNS = {
    "annotations.csv": ["VideoID", "FrameNo", "Phase"],
    "phases.csv": ["Phase", "Meaning"],
    "videos.csv": ["VideoID", "Frames", "FPS", "Surgeon", "Experience"],
}


def read(root: Path, probes: Probes) -> Dataset:
    """The videos of the dataset with their labels, surgeon and experience.

    Raises:
        PipelineError: No videos, or a table is missing or has another header.
    """
    paths = {
        path.stem.removeprefix("case_"): path
        for path in find_videos(root / "videos" if (root / "videos").is_dir() else root).values()
    }
    runs, phases, details, problems = read_tables(root)
    dataset = Dataset(dict(sorted(paths.items())), phases=phases, problems=problems)
    if problems and not runs:
        return dataset
    dataset.columns = {
        name: {video: details[video][key] for video in paths if video in details}
        for name, key in (("surgeon", "Surgeon"), ("experience", "Experience"))
    }
    for video, path in dataset.paths.items():
        if video not in runs:
            dataset.problems.append(
                f"{root / 'annotations.csv'}: no row for the video {path} (VideoID {video})."
            )
            continue
        dataset.runs[video] = runs[video]
        length = probes(path)
        if not length.problem:
            source = f"{root / 'videos.csv'}: VideoID {video}"
            check_length(dataset, video, runs[video][-1].end_s, length.duration_s, source, True)
    absent = len(set(runs) - set(paths))
    if absent:
        dataset.notes.append(f"{absent} annotated videos are not in {root}; left out")
    return dataset


def read_tables(
    root: Path,
) -> tuple[dict[str, list[Run]], tuple[str, ...], dict[str, dict[str, str]], list[str]]:
    """The three tables of the dataset.

    Returns:
        Runs by video, phase names in order, the rows of videos.csv by video, and problems, each
        naming file and line.

    Raises:
        PipelineError: A table is missing or has another header.
    """
    problems: list[str] = []
    names = {row["Phase"]: row["Meaning"] for _, row in _rows(root / "phases.csv", problems)}
    details = {}
    for line, row in _rows(root / "videos.csv", problems):
        wrong = _wrong_numbers(row)
        problems += [f"{root / 'videos.csv'}:{line}: {what}" for what in wrong]
        if not wrong:
            details[row["VideoID"]] = row
    if problems:
        # What annotations.csv says of these videos would be reported as wrong as well.
        return {}, tuple(names.values()), details, problems
    starts: dict[str, list[tuple[int, str]]] = {}
    source = root / "annotations.csv"
    for line, row in _rows(source, problems):
        where, video = f"{source}:{line}", row["VideoID"]
        if video not in details:
            problems.append(f"{where}: VideoID {video} is not in {root / 'videos.csv'}.")
        elif row["Phase"] not in names:
            problems.append(
                f"{where}: unknown phase {row['Phase']!r}. Allowed: {', '.join(names)} "
                f"({root / 'phases.csv'})."
            )
        elif not row["FrameNo"].isdecimal():
            problems.append(f"{where}: FrameNo {row['FrameNo']!r}, expected a whole number.")
        elif starts.get(video) and int(row["FrameNo"]) <= starts[video][-1][0]:
            problems.append(
                f"{where}: starts at frame {row['FrameNo']}, not after the one before it at "
                f"{starts[video][-1][0]}."
            )
        elif int(row["FrameNo"]) >= int(details[video]["Frames"]):
            problems.append(
                f"{where}: starts at frame {row['FrameNo']}, but the video has "
                f"{details[video]['Frames']} frames ({root / 'videos.csv'})."
            )
        else:
            starts.setdefault(video, []).append((int(row["FrameNo"]), names[row["Phase"]]))
    runs = {
        video: _runs(begun, int(details[video]["Frames"]), float(details[video]["FPS"]))
        for video, begun in starts.items()
    }
    return runs, tuple(names.values()), details, problems


def _runs(starts: list[tuple[int, str]], frames: int, fps: float) -> list[Run]:
    ends = [start for start, _ in starts[1:]] + [frames]
    return [
        Run(start / fps, end / fps, phase) for (start, phase), end in zip(starts, ends, strict=True)
    ]


def _wrong_numbers(row: dict[str, str]) -> list[str]:
    """What is wrong with the numbers of a row of videos.csv."""
    wrong = []
    if not row["Frames"].isdecimal() or int(row["Frames"]) == 0:
        wrong.append(f"Frames {row['Frames']!r}, expected a whole number above 0.")
    try:
        good = 0 < float(row["FPS"]) < math.inf
    except ValueError:
        good = False
    if not good:
        wrong.append(f"FPS {row['FPS']!r}, expected a number above 0, such as 25.")
    return wrong


def _rows(path: Path, problems: list[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table with their line numbers; those with missing fields are problems."""
    if not path.is_file():
        raise PipelineError(f"{path}: missing. The layout cataract101 needs {', '.join(_COLUMNS)}.")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=";")
        if list(reader.fieldnames or []) != _COLUMNS[path.name]:
            raise PipelineError(
                f"{path}:1: header {';'.join(reader.fieldnames or [])!r}, expected "
                f"{';'.join(_COLUMNS[path.name])!r}."
            )
        rows = []
        for row in reader:
            if None in row or None in row.values():
                found = ";".join(str(value) for value in row.values() if value is not None)
                problems.append(
                    f"{path}:{reader.line_num}: found {found!r}, expected a value for each of "
                    f"{', '.join(_COLUMNS[path.name])}."
                )
            else:
                rows.append((reader.line_num, row))
        return rows
