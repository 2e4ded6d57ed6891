"""The table: results of the same test videos, the best one first, and how clear its lead is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.compare.comparison import DRAWS, check_same_test, measured_of
from pipeline.errors import PipelineError
from pipeline.leaderboard.results import Result
from pipeline.leaderboard.significance import holm, swap_test
from pipeline.metrics.bootstrap import draw_videos, every_video_once, interval
from pipeline.metrics.keys import value_at
from pipeline.metrics.measure import Measured
from pipeline.metrics.short_names import SHORT_NAMES, rises
from pipeline.metrics.table import Metric, metric
from pipeline.networks.cost import Cost

_SHOWN = ("macro_f1", "accuracy", "jaccard", "edit", "f1_50")


@dataclass(frozen=True)
class Figure:
    """A metric's value with its 95 % interval over videos; NaN where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One result.

    Attributes:
        name: Experiment or commit.
        also: Names of others with the same predictions.
        kind: model.kind.
        backbone: backbone.name.
        figures: By key of the board's metrics.
        validation: The board's first metric on the validation videos; None where there are none.
        p: Of the difference to the best row, corrected for the number of rows; NaN for that row.
        backbone_cost: For a frame; None where it is not known.
        head_cost: Of the temporal model.
    """

    name: str
    also: tuple[str, ...]
    kind: str
    backbone: str
    figures: dict[str, Figure]
    validation: float | None
    p: float
    backbone_cost: Cost | None
    head_cost: Cost | None


@dataclass(frozen=True)
class Board:
    """All results.

    Attributes:
        metrics: Columns; rows are sorted by the first one.
        num_videos: Test videos.
        rows: The best one first.
        apart: Names of results that were scored otherwise or cannot be read, with the reason.
    """

    metrics: list[Metric]
    num_videos: int
    rows: list[Row]
    apart: list[tuple[str, str]]


def make_board(results: Sequence[Result], key: str) -> Board:
    """Compare results; the first one says which test videos count.

    Args:
        results: One at least.
        key: Dotted key of the metric that sorts the rows.

    Raises:
        PipelineError: The metric has no value for each draw of videos.
    """
    first = results[0].report
    alike, apart = [], []
    for result in results:
        try:
            check_same_test(first, result.report)
            alike.append(result)
        except PipelineError as error:
            apart.append((result.report.name, str(error)))
    measured = [measured_of(result.report) for result in alike]
    known = measured[0].figures(every_video_once(len(first.videos)))
    if key not in known:
        allowed = ", ".join([*SHORT_NAMES, *(k for k in known if not k.startswith("phase."))])
        raise PipelineError(f"--metric: found {key}. Allowed: {allowed}.")
    keys = [key, *(SHORT_NAMES[name] for name in _SHOWN if SHORT_NAMES[name] != key)]
    rows = [_row(r, m, keys) for r, m in zip(alike, measured, strict=True)]
    order = sorted(range(len(rows)), key=lambda i: _rank(rows[i].figures[key].value, key))
    best = measured[order[0]]
    p_values = holm([swap_test(best, measured[i], key) for i in order[1:]])
    sorted_rows = [
        replace(rows[i], p=p) for i, p in zip(order, [float("nan"), *p_values], strict=True)
    ]
    return Board([metric(k) for k in keys], len(measured[0].scored.videos), sorted_rows, apart)


def _rank(value: float, key: str) -> tuple[bool, float]:
    """Best first, undefined values last."""
    return bool(np.isnan(value)), -value if rises(key) else value


def _row(result: Result, measured: Measured, keys: list[str]) -> Row:
    count = len(measured.scored.videos)
    once = measured.figures(every_video_once(count))
    drawn = measured.figures(draw_videos(count, DRAWS)) if count > 1 else once
    parameters = result.report.parameters
    validation = value_at(result.validation, keys[0])
    return Row(
        name=result.report.name,
        also=result.also,
        kind=parameters.get("model.kind", "-"),
        backbone=parameters.get("backbone.name", "-"),
        figures={key: Figure(float(once[key][0]), *interval(drawn[key])) for key in keys},
        validation=validation if isinstance(validation, float | int) else None,
        p=float("nan"),
        backbone_cost=result.backbone,
        head_cost=result.head,
    )
