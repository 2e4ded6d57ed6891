"""data/index/tracks.csv: what frames are labelled with beside the phase, such as the step.

Each track has its own classes, in the order of track_classes.csv. Both tables are empty for data
sets without further tracks.
"""

from pathlib import Path

import pandas as pd

from pipeline.errors import PipelineError
from pipeline.paths import INDEX

PHASE = "phase"
"""The first track of every data set, which labels.csv and phases.csv hold."""

RUN_COLUMNS = ("track", "video", "start_s", "end_s", "label")
CLASS_COLUMNS = ("track", "label")

_TEXT = dict.fromkeys(("track", "video", "label"), str)


def read_track(name: str, folder: Path = INDEX) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The runs of a further track, and its classes in the order of their numbers.

    Args:
        name: Of the track.
        folder: Of the tables.

    Returns:
        Runs as labels.csv has them, the labels in the column `phase`; and the classes.

    Raises:
        PipelineError: A table is missing, there is no such track, or a label is none of its
            classes.
    """
    runs, classes = _read(folder / "tracks.csv"), _read(folder / "track_classes.csv")
    own = tuple(classes.loc[classes["track"] == name, "label"])
    if not own:
        allowed = (PHASE, *dict.fromkeys(classes["track"]))
        raise PipelineError(
            f"params.yaml: task.tracks: found {name}. {folder / 'track_classes.csv'} allows: "
            f"{', '.join(allowed)}. Further columns of the labels' table become tracks "
            "(docs/tasks.md)."
        )
    found = runs[runs["track"] == name].drop(columns="track").rename(columns={"label": "phase"})
    unknown = sorted(set(found["phase"]) - set(own))
    if unknown:
        raise PipelineError(
            f"{folder / 'tracks.csv'}: unknown {name} {', '.join(unknown)}. Allowed: "
            f"{', '.join(own)} ({folder / 'track_classes.csv'})."
        )
    return found, own


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=_TEXT, keep_default_na=False)
    except FileNotFoundError:
        raise PipelineError(f"{path}: not found. Run `dvc repro index`.") from None
