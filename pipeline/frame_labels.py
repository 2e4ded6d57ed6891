"""The phase of each frame of a video: the tables' labels, met by time."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.timebase import labels_at


def phases_at(
    time_s: NDArray[np.float64], runs: pd.DataFrame, phases: tuple[str, ...], index: Path
) -> NDArray[np.int64]:
    """The class of each frame, (T,), -1 where it is unlabelled.

    Args:
        time_s: (T,) seconds.
        runs: The video's rows of labels.csv.
        phases: Names in class order.
        index: Folder of the tables, for messages.

    Raises:
        PipelineError: A label is none of the phases.
    """
    number = {phase: i for i, phase in enumerate(phases)}
    unknown = sorted(set(runs["phase"]) - set(number))
    if unknown:
        raise PipelineError(
            f"{index / 'labels.csv'}: unknown phase {', '.join(unknown)}. Allowed: "
            f"{', '.join(phases)} ({index / 'phases.csv'})."
        )
    classes = np.array([number[phase] for phase in runs["phase"]], dtype=np.int64)
    return labels_at(
        time_s,
        runs["start_s"].to_numpy(dtype=np.float64),
        runs["end_s"].to_numpy(dtype=np.float64),
        classes,
    )
