"""Cholec80: videos/videoNN.mp4 and phase_annotations/videoNN-phase.txt.

One row per frame at 25 fps, tab, `Frame Phase`. In the wild also with phase numbers, without a
header, and with every 25th frame only.
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
    for labels in sorted(folder.glob("*-phase.txt")):
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
        if number == 1 and not fields[0].isdigit():
            if [field.lower() for field in fields] != ["frame", "phase"]:
                raise PipelineError(f"{path}:1: header {line!r}, expected 'Frame<tab>Phase'.")
            continue
        if len(fields) != 2 or not fields[0].isdigit():
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
    return runs_of_frames(frames, phases, LABEL_FPS, step)


def _phase(text: str, where: str) -> str:
    if text.isdigit() and int(text) < len(CHOLEC80):
        return CHOLEC80[int(text)]
    if text in CHOLEC80:
        return text
    raise PipelineError(
        f"{where}: unknown phase {text!r}. Allowed: {', '.join(CHOLEC80)}, or 0 to 6."
    )
