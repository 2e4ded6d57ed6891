"""A picture of the demo for the README: a row per phase, a column per operation."""

import csv
from pathlib import Path

import av
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.demo.workflow import PHASES


def draw_contact_sheet(folder: Path, picture: Path, columns: int = 6) -> None:
    """Write a PNG with the middle frame of each phase's first run.

    Args:
        folder: The rendered demo, with videos/ and phases.csv.
        picture: The PNG.
        columns: How many operations to show.
    """
    with (folder / "phases.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    videos = sorted({row["video"] for row in rows})[:columns]
    figure = Figure(figsize=(1.6 * columns + 1, 1.22 * len(PHASES)), layout="constrained")
    grid = figure.subplots(len(PHASES), columns)
    for column, video in enumerate(videos):
        for line, phase in enumerate(PHASES):
            run = next(row for row in rows if (row["video"], row["phase"]) == (video, phase))
            middle_s = (float(run["start_s"]) + float(run["end_s"])) / 2
            axes = grid[line, column]
            axes.imshow(_frame_at(folder / f"videos/{video}.mp4", middle_s))
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_visible(False)
            if line == 0:
                axes.set_title(video, fontsize=8)
            if column == 0:
                axes.set_ylabel(phase, fontsize=8)
    figure.savefig(picture, dpi=80, metadata={"Software": None})


def _frame_at(video: Path, time_s: float) -> NDArray[np.uint8]:
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= time_s:
                return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    raise ValueError(f"{video} ends before {time_s:g} s")
