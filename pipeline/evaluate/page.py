"""reports/index.html: one page that needs no network and no other file."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from pipeline.atomic import write_text

_TEMPLATE = Path(__file__).with_name("page.html.jinja")


@dataclass(frozen=True)
class Page:
    """What the page shows.

    Attributes:
        facts: What was run: name and value.
        untrained: Whether the backbone's weights are random.
        metrics: As in metrics.json.
        phases: Names in class order.
        ribbons: Video and its picture, from worst to best.
        confusion: Picture.
        curves: Picture.
        skipped: Damaged videos that were left out, with reasons.
        unseen: Phases of the test videos that training never saw.
    """

    facts: Sequence[tuple[str, str]]
    untrained: bool
    metrics: Mapping[str, Any]
    phases: Sequence[str]
    ribbons: Sequence[tuple[str, Path]]
    confusion: Path
    curves: Path
    skipped: Sequence[tuple[str, str]]
    unseen: Sequence[str]


def write_page(page: Page, path: Path) -> None:
    """Write the page with its pictures inside."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = percent
    environment.filters["picture"] = _inline
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    write_text(path, template.render(page=page, headline=headline(page.metrics)) + "\n")


def headline(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The figures that stand on top: name and formatted value."""
    test = metrics["test"]
    frame, segment = test["frame"], test["segment"]
    rows = [
        ("Accuracy", _spread(frame["accuracy"]["mean"], frame["accuracy"]["std"])),
        (
            "F1, mean over phases",
            _spread(frame["f1"]["per_phase_mean"], frame["f1"]["per_phase_std"]),
        ),
        ("Jaccard, mean over phases", percent(frame["jaccard"]["per_phase_mean"])),
        ("Edit score", percent(segment["edit"])),
        *((f"F1@{k}", percent(segment[f"f1_{k}"]["pooled"])) for k in (10, 25, 50)),
    ]
    for mode, scores in test.get("relaxed", {}).items():
        accuracy, jaccard = scores["accuracy"], scores["jaccard"]
        rows += [
            (f"Relaxed accuracy, {mode}", _spread(accuracy["mean"], accuracy["std"])),
            (f"Relaxed Jaccard, {mode}", _spread(jaccard["mean"], jaccard["std"])),
        ]
    return rows


def percent(value: float | None) -> str:
    """A fraction in percent with one digit, or a dash where it is undefined."""
    return "-" if value is None else f"{100 * value:.1f} %"


def _spread(mean: float | None, std: float | None) -> str:
    if mean is None or std is None:
        return percent(mean)
    return f"{100 * mean:.1f} ± {100 * std:.1f} %"


def _inline(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
