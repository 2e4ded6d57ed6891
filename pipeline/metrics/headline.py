"""The metrics in the headline of a report, as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.metrics.keys import is_in, value_at
from pipeline.metrics.table import METRICS, Metric
from pipeline.metrics.video_level import VIDEO_METRICS
from pipeline.metrics.wording import interval, with_deviation


@dataclass(frozen=True)
class Line:
    """One metric of a headline.

    Attributes:
        metric: Its row of the table.
        value: As text, with the standard deviation where there is one.
        interval: The 95 % interval as text; empty where there is none.
    """

    metric: Metric
    value: str
    interval: str


def headline(details: Mapping[str, Any]) -> list[Line]:
    """The headline of a split, from its group of reports/details.json."""
    return lines_of([metric for metric in (*METRICS, *VIDEO_METRICS) if metric.kept], details)


def lines_of(metrics: Sequence[Metric], details: Mapping[str, Any]) -> list[Line]:
    """The metrics that are there, undefined ones included, in their order."""
    return [
        Line(
            metric,
            with_deviation(
                metric, value_at(details, metric.key), value_at(details, metric.deviation_key)
            ),
            interval(metric, *(value_at(details, key) for key in metric.interval_keys)),
        )
        for metric in metrics
        if is_in(details, metric.key)
    ]


def as_text(lines: Sequence[Line]) -> str:
    """A small table for a terminal."""
    return "\n".join(
        f"{line.metric.label:<28} {line.value:<16} {line.interval}".rstrip() for line in lines
    )
