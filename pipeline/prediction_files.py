"""reports/predictions/<video>.csv: `time_s, truth, prediction, p_<phase>...`, one row per frame."""

from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.scored_video import ScoredVideo
from pipeline.segments import Labels
from pipeline.tables import write_table


@dataclass(frozen=True)
class PredictedVideo:
    """The content of one file.

    Attributes:
        time_s: (T,) presentation times.
        classes: Names in class order.
        scored: Truth, prediction, probabilities.
    """

    time_s: NDArray[np.float64]
    classes: tuple[str, ...]
    scored: ScoredVideo


def write_prediction(
    path: Path, time_s: NDArray[np.float64], classes: tuple[str, ...], scored: ScoredVideo
) -> None:
    """Write one video's file; `truth` is empty where unlabelled."""
    names = np.array([*classes, ""])  # the last one is for -1, unlabelled
    columns = {
        "time_s": time_s,
        "truth": names[scored.truth],
        "prediction": names[scored.prediction],
    }
    if scored.probabilities is not None:
        for i, name in enumerate(classes):
            columns[f"p_{name}"] = scored.probabilities[:, i].astype(np.float64)
    write_table(pd.DataFrame(columns), path)


def read_prediction(source: Path | TextIO, name: str) -> PredictedVideo:
    """Read one video's file back; the columns p_<phase> give the classes in their order.

    Args:
        source: Path or open file.
        name: What errors call it.

    Raises:
        PipelineError: Columns are missing, a phase has no column, or nothing is in it.
    """
    try:
        table = pd.read_csv(source, keep_default_na=False, dtype={"truth": str, "prediction": str})
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise PipelineError(f"{name}: not a table of predictions ({error}).") from None
    missing = [c for c in ("time_s", "truth", "prediction") if c not in table]
    classes = tuple(str(c)[2:] for c in table.columns if str(c).startswith("p_"))
    if missing or not classes or table.empty:
        what = f"no column {', '.join(missing)}" if missing else "no column p_<phase>"
        raise PipelineError(
            f"{name}: {what if len(table) or missing else 'no rows'}; expected time_s, truth, "
            "prediction and one p_<phase> per phase, as the evaluate stage writes them."
        )
    probabilities = table[[f"p_{name}" for name in classes]].to_numpy(dtype=np.float64)
    return PredictedVideo(
        time_s=table["time_s"].to_numpy(dtype=np.float64),
        classes=classes,
        scored=ScoredVideo(
            _classes(table["truth"], classes, name, unlabelled=True),
            _classes(table["prediction"], classes, name, unlabelled=False),
            probabilities,
        ),
    )


def _classes(
    column: "pd.Series[str]", classes: tuple[str, ...], name: str, unlabelled: bool
) -> Labels:
    number = {c: i for i, c in enumerate(classes)} | ({"": -1} if unlabelled else {})
    unknown = sorted(set(column) - set(number))
    if unknown:
        raise PipelineError(
            f"{name}: {column.name} holds {', '.join(map(repr, unknown[:5]))}; allowed: "
            f"{', '.join(classes)}."
        )
    return np.array([number[label] for label in column], dtype=np.int64)
