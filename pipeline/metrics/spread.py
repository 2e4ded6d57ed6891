"""How metrics vary over folds or over seeds."""

from collections.abc import Iterable, Mapping
from statistics import fmean, stdev
from typing import Any

from pipeline.metrics.keys import is_in, nested, value_at
from pipeline.metrics.table import METRICS
from pipeline.metrics.video_level import VIDEO_METRICS

KEPT = (
    *(row for row in METRICS if row.kept and row.key.startswith("frame.")),
    *(row for row in VIDEO_METRICS if row.kept),
)
"""Those in reports/metrics.json: of phases the ones by frame, for it holds 30 values."""


def mean_and_deviation(
    parts: Iterable[Mapping[str, Any]], key: str
) -> tuple[float | None, float | None]:
    """Mean and standard deviation (ddof = 1) of a metric over parts.

    Args:
        parts: What summarise returned for each fold or seed. One where the metric is undefined
            does not count.
        key: Dotted.

    Returns:
        None where no part, or for the deviation only one, defines it.
    """
    values = [value for part in parts if (value := value_at(part, key)) is not None]
    return fmean(values) if values else None, stdev(values) if len(values) > 1 else None


def spread(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """`mean` and `std` over parts of the metrics of KEPT, each with the nested keys of a split."""
    known, flat = list(parts), {}
    for row in KEPT:
        if not any(is_in(part, row.key) for part in known):
            continue
        flat[f"mean.{row.key}"], flat[f"std.{row.key}"] = mean_and_deviation(known, row.key)
    return nested(flat)
