"""The figures that stand on top of a report, and how figures are written for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        key: Where it stands in metrics.json.
        name: For people.
        value: Formatted, with the standard deviation where there is one.
        interval: Formatted 95 % interval, or an empty text.
    """

    key: str
    name: str
    value: str
    interval: str


def headline(metrics: Mapping[str, Any]) -> list[Figure]:
    """The figures of the test videos that stand on top, from the whole of metrics.json."""
    test = metrics["test"]
    frame, segment = test["frame"], test["segment"]
    figures = [
        _figure("test.frame.accuracy.mean", "Accuracy", frame["accuracy"]),
        _figure("test.frame.f1.per_phase_mean", "F1, mean over phases", frame["f1"]),
        _figure("test.frame.jaccard.per_phase_mean", "Jaccard, mean over phases", frame["jaccard"]),
        _figure("test.segment.edit.mean", "Edit score", segment["edit"]),
        *(
            _figure(f"test.segment.f1_{k}.pooled", f"F1@{k}", segment[f"f1_{k}"])
            for k in (10, 25, 50)
        ),
    ]
    for mode in ("official", "corrected"):
        if mode in test.get("relaxed", {}):
            for name, label in (("accuracy", "accuracy"), ("jaccard", "Jaccard")):
                key = f"test.relaxed.{mode}.{name}.mean"
                group = test["relaxed"][mode][name]
                figures.append(_figure(key, f"Relaxed {label}, {mode}", group))
    return figures


def as_text(figures: list[Figure]) -> str:
    """A small table for a terminal."""
    return "\n".join(f"{f.name:<28} {f.value:<16} {f.interval}".rstrip() for f in figures)


def percent(value: float | None) -> str:
    """A fraction in percent with one digit, or a dash where it is undefined."""
    return "-" if value is None else f"{100 * value:.1f} %"


def seconds(value: float | None) -> str:
    """Seconds with one digit, or a dash where it is undefined."""
    return "-" if value is None else f"{value:.1f} s"


def interval(low: float | None, high: float | None) -> str:
    """A 95 % interval of a fraction in percent, or an empty text where there is none."""
    if low is None or high is None:
        return ""
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def _figure(key: str, name: str, group: Mapping[str, float | None]) -> Figure:
    last = key.rpartition(".")[2]
    stem = last.removesuffix("mean") if last.endswith("mean") else f"{last}_"
    value, std = group[last], group.get(f"{stem}std")
    text = percent(value)
    if value is not None and std is not None:
        text = f"{100 * value:.1f} ± {100 * std:.1f} %"
    return Figure(
        key, name, text, interval(group.get(f"{stem}ci_low"), group.get(f"{stem}ci_high"))
    )
