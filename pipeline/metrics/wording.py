"""Values of metrics as people read them."""

import math
from typing import TypeGuard

from pipeline.metrics.table import Metric

_SUFFIX = {"%": " %", "s": " s", "ratio": ""}


def written(metric: Metric, value: float | None) -> str:
    """A value with its unit, or a dash where it is undefined."""
    if not _defined(value):
        return "-"
    return f"{_number(metric, value)}{_SUFFIX[metric.unit]}"


def with_deviation(metric: Metric, value: float | None, deviation: float | None) -> str:
    """A value with its unit and, where there is one, its standard deviation."""
    if not _defined(value) or not _defined(deviation):
        return written(metric, value)
    text = f"{_number(metric, value)} ± {_number(metric, deviation)}"
    return f"{text}{_SUFFIX[metric.unit]}"


def difference(metric: Metric, value: float | None) -> str:
    """A change of a value, with its sign."""
    sign = "+" if _defined(value) and value > 0 else ""
    return f"{sign}{written(metric, value)}"


def interval(metric: Metric, low: float | None, high: float | None, signed: bool = False) -> str:
    """A 95 % interval with its unit, or an empty text where there is none."""
    if not _defined(low) or not _defined(high):
        return ""
    ends = [("+" if signed and end > 0 else "") + _number(metric, end) for end in (low, high)]
    return f"{' to '.join(ends)}{_SUFFIX[metric.unit]}"


def percent(value: float | None) -> str:
    """A share in percent with one digit, or a dash where it is undefined."""
    return f"{100 * value:.1f} %" if _defined(value) else "-"


def seconds(value: float | None) -> str:
    """Seconds with one digit, or a dash where they are undefined."""
    return f"{value:.1f} s" if _defined(value) else "-"


def _number(metric: Metric, value: float) -> str:
    return f"{100 * value if metric.unit == '%' else value:.{metric.digits}f}"


def _defined(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
