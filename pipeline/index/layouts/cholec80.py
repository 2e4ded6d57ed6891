"""Cholec80: videos/videoNN.mp4, phase_annotations/videoNN-phase.txt, tool_annotations/.

One row per frame at 25 fps, tab, `Frame Phase`. In the wild also with phase numbers, without a
header, and with every 25th frame only. tool_annotations/videoNN-tool.txt has a row per second,
`Frame` and 0 or 1 for each of seven tools; it may be missing.
"""

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
from pipeline.phases import CHOLEC80

# Frame numbers in the label files count at this rate, whatever the rate of the rows.
LABEL_FPS = 25


def read(root: Path, probes: Probes) -> Dataset:
    """The videos below root/videos with their labels.

    Raises:
        PipelineError: No videos, or no folder of labels.
    """
    if not root.is_dir():
        find_videos(root)
    folder = root / "phase_annotations"
    for needed in (root / "videos", folder):
        if not needed.is_dir():
            raise PipelineError(
                f"{needed}: no such folder. The layout cholec80 has videos/ and "
                "phase_annotations/ below data.root; the layout csv reads any other."
            )
    dataset = Dataset(find_videos(root / "videos"), phases=CHOLEC80)
    for video, path in dataset.paths.items():
        labels = folder / f"{video}-phase.txt"
        if not labels.is_file():
            dataset.problems.append(
                f"{labels}: missing; the video {path} has no labels. Add it, or move the video "
                "away."
            )
            continue
        try:
            runs = read_labels(labels)
        except PipelineError as error:
            dataset.problems.append(str(error))
            continue
        dataset.runs[video] = runs
        length = probes(path)
        if not length.problem:
            check_length(
                dataset, video, runs[-1].end_s, length.duration_s, str(labels), covers=True
            )
    _read_tools(root / "tool_annotations", dataset)
    for labels in sorted(folder.glob("[!.]*-phase.txt")):
        if labels.name.removesuffix("-phase.txt") not in dataset.paths:
            dataset.notes.append(f"{labels.name}: has no video in {root / 'videos'}; left out")
    return dataset


def read_labels(path: Path) -> list[Run]:
    """The runs of one label file.

    Raises:
        PipelineError: Names the line, what was found and what is allowed.
    """
    frames: list[int] = []
    phases: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        fields = line.split()
        if number == 1 and not fields[0].isdecimal():
            if [field.lower() for field in fields] != ["frame", "phase"]:
                raise PipelineError(f"{path}:1: header {line!r}, expected 'Frame<tab>Phase'.")
            continue
        if len(fields) != 2 or not fields[0].isdecimal():
            raise PipelineError(
                f"{path}:{number}: found {line!r}, expected a frame number, a tab and a phase."
            )
        if frames and int(fields[0]) <= frames[-1]:
            raise PipelineError(
                f"{path}:{number}: frame {fields[0]} follows frame {frames[-1]}; each frame has "
                "one label, in order."
            )
        frames.append(int(fields[0]))
        phases.append(_phase(fields[1], f"{path}:{number}"))
    if not frames:
        raise PipelineError(f"{path}: holds no labels.")
    step = min((b - a for a, b in itertools.pairwise(frames)), default=1)
    return runs_of_frames(frames, phases, lambda frame: frame / LABEL_FPS, step)


def _read_tools(folder: Path, dataset: Dataset) -> None:
    """The tool labels of the videos that have them, with a note where only some do."""
    if not folder.is_dir():
        return
    without = []
    for video in dataset.paths:
        path = folder / f"{video}-tool.txt"
        if not path.is_file():
            without.append(video)
            continue
        try:
            names, rows = read_tool_labels(path)
            if dataset.tool_names and names != dataset.tool_names:
                raise PipelineError(
                    f"{path}:1: tools {', '.join(names)}, but the files before it have "
                    f"{', '.join(dataset.tool_names)}."
                )
        except PipelineError as error:
            dataset.problems.append(str(error))
            continue
        dataset.tool_names = names
        dataset.tools[video] = rows
    if without:
        dataset.notes.append(f"no tool labels in {folder} for {', '.join(without)}")


def read_tool_labels(path: Path) -> tuple[tuple[str, ...], list[tuple[float, tuple[int, ...]]]]:
    """Names of the tools, and for each row its time in seconds and 0 or 1 per tool.

    Raises:
        PipelineError: Names the line, what was found and what is allowed.
    """
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    header = lines[0].split() if lines else []
    if len(header) < 2 or header[0].lower() != "frame":
        raise PipelineError(f"{path}:1: expected the header 'Frame<tab>tool<tab>tool...'.")
    rows: list[tuple[float, tuple[int, ...]]] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        fields = line.split()
        whole = len(fields) == len(header) and fields[0].isdecimal()
        if not whole or any(field not in ("0", "1") for field in fields[1:]):
            raise PipelineError(
                f"{path}:{number}: found {line!r}, expected a frame number and 0 or 1 for each of "
                f"{', '.join(header[1:])}."
            )
        time_s = int(fields[0]) / LABEL_FPS
        if rows and time_s <= rows[-1][0]:
            raise PipelineError(f"{path}:{number}: frame {fields[0]} is not after the one before.")
        rows.append((time_s, tuple(int(field) for field in fields[1:])))
    return tuple(header[1:]), rows


def _phase(text: str, where: str) -> str:
    if text.isdecimal() and int(text) < len(CHOLEC80):
        return CHOLEC80[int(text)]
    if text in CHOLEC80:
        return text
    raise PipelineError(
        f"{where}: unknown phase {text!r}. Allowed: {', '.join(CHOLEC80)}, or 0 to 6."
    )
