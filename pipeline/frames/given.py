"""What the frames stage leaves where a data set brings features in place of videos: no frames.

given.csv says which rows of the arrays are samples, so that `frames.fps` means the same as for
videos: samples per second.
"""

import json
from pathlib import Path

import pandas as pd

from pipeline.atomic import write_text
from pipeline.errors import PipelineError
from pipeline.frames.params import FramesParams
from pipeline.given_features import AXES, GivenVideo, table_of
from pipeline.tables import write_table

# Rates are written with six digits: 30000/1001 comes back as 29.97003.
_ROUNDING = 1e-4


def write_given(videos: pd.DataFrame, params: FramesParams, output: Path) -> str:
    """Write given.csv, the recipe, and empty tables of damaged videos.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: The rate of the features is no multiple of frames.fps.
    """
    given = [
        GivenVideo(
            video=str(row["video"]),
            path=str(row["path"]),
            sha256=str(row["sha256"]),
            fps=float(row["fps"]),
            frames=int(row["frames"]),
            axes=str(row[AXES]),
            every=_every(float(row["fps"]), params),
        )
        for row in videos.to_dict("records")
    ]
    write_table(pd.DataFrame(given), table_of(output))
    write_table(pd.DataFrame(columns=["video", "reason"]), output / "skipped.csv")
    write_table(pd.DataFrame(columns=["video", "lost", "samples"]), output / "masked.csv")
    recipe = {"features": "given", "fps": str(params.rate)}
    write_text(output / "recipe.json", json.dumps(recipe, indent=2, sort_keys=True) + "\n")
    return f"{output}: the features of {len(videos)} videos are given; there are no frames to take"


def _every(fps: float, params: FramesParams) -> int:
    """How many rows of the array lie from one sample to the next."""
    ratio = fps / float(params.rate)
    every = round(ratio)
    if every < 1 or abs(ratio - every) > _ROUNDING * every:
        raise PipelineError(
            f"params.yaml: frames.fps: found {params.fps}, but the features are given at "
            f"{fps:g} per second (data.fps). Allowed: {fps:g}, which takes all of them, or "
            f"{fps:g} divided by a whole number, such as {fps / 2:g}."
        )
    return every
