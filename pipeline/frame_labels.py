"""The class of each frame of a video, from the runs of labels.csv that contain their times."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.timebase import labels_at


def phases_at(
    time_s: NDArray[np.float64], runs: pd.DataFrame, classes: tuple[str, ...], index: Path
) -> NDArray[np.int64]:
    """The class of each frame, (T,), -1 where it is unlabelled.

    Args:
        time_s: (T,) seconds.
        runs: The video's rows of labels.csv.
        classes: Their names, in order.
        index: Folder of the tables, for messages.

    Raises:
        PipelineError: A label is none of the phases.
    """
    number = {name: i for i, name in enumerate(classes)}
    unknown = sorted(set(runs["phase"]) - set(number))
    if unknown:
        raise PipelineError(
            f"{index / 'labels.csv'}: unknown phase {', '.join(unknown)}. Allowed: "
            f"{', '.join(classes)} ({index / 'phases.csv'})."
        )
    return labels_at(
        time_s,
        runs["start_s"].to_numpy(dtype=np.float64),
        runs["end_s"].to_numpy(dtype=np.float64),
        np.array([number[name] for name in runs["phase"]], dtype=np.int64),
    )
