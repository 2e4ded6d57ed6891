"""reports/index.html: one page that needs no network and no other file."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.atomic import write_text
from pipeline.drawing.colours import phase_colours, text_colour
from pipeline.drawing.svg_ribbons import Ribbon, clock
from pipeline.evaluate.error_analysis import ConfusedPair, NearTransitions, WrongRun
from pipeline.evaluate.thumbnails import Thumbnail
from pipeline.metrics.headline import headline, interval, percent, seconds

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """What the page shows.

    Attributes:
        facts: What was run: name and text.
        parameters: params.yaml by dotted key.
        digest: Of the parameters.
        untrained: Whether the backbone's weights are random.
        skipped: Damaged videos that were left out, with reasons.
        unseen: Phases of the test videos that training never saw.
        metrics: As in metrics.json.
        phases: Names in class order.
        fps: Frames per second of the ribbons.
        ribbons: The test videos from worst to best.
        matrix: (C, C) test frames by true phase (rows) and predicted phase (columns).
        pairs: Most confused pairs of phases.
        near: Errors around transitions.
        runs: Longest wrong runs with their frames.
        boundaries: By phase entered: name, transitions, median error, shares within 5, 10, 30 s.
        pictures: PNG files by name: training, reliability, roc.
    """

    facts: Sequence[tuple[str, str]]
    parameters: Sequence[tuple[str, str]]
    digest: str
    untrained: bool
    skipped: Sequence[tuple[str, str]]
    unseen: Sequence[str]
    metrics: Mapping[str, Any]
    phases: Sequence[str]
    fps: float
    ribbons: Sequence[Ribbon]
    matrix: NDArray[np.int64]
    pairs: Sequence[ConfusedPair]
    near: NearTransitions
    runs: Sequence[tuple[WrongRun, Sequence[Thumbnail]]]
    boundaries: Sequence[tuple[str, int, Mapping[str, float | None]]]
    pictures: Mapping[str, Path]


def write_page(page: Page, path: Path) -> None:
    """Write the page with its pictures, style and script inside."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": percent,
        "seconds": seconds,
        "clock": clock,
        "picture": _inline,
        "shade": _shade,
    }
    environment.globals["interval"] = interval
    template = environment.from_string((_FOLDER / "page.html.jinja").read_text(encoding="utf-8"))
    colours = phase_colours(len(page.phases))
    text = template.render(
        page=page,
        test=page.metrics["test"],
        headline=headline(page.metrics),
        colours=colours,
        inks=[text_colour(colour) for colour in colours],
        style=Markup((_FOLDER / "page.css").read_text(encoding="utf-8")),
        script=Markup((_FOLDER / "page.js").read_text(encoding="utf-8")),
        readouts=_script_data(page),
    )
    write_text(path, text + "\n")


def _script_data(page: Page) -> Markup:
    data = {
        "fps": page.fps,
        "phases": list(page.phases),
        "videos": {ribbon.video: ribbon.readout for ribbon in page.ribbons},
    }
    # "</script>" in a phase's name must not end the element.
    return Markup(json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"))


def _shade(share: float) -> str:
    """Colours of a cell of the confusion matrix: white to blue, ink that stands out."""
    light, dark = (255, 255, 255), (12, 64, 120)
    mixed = [round(a + (b - a) * share) for a, b in zip(light, dark, strict=True)]
    background = "#" + "".join(f"{channel:02x}" for channel in mixed)
    return f"background:{background};color:{text_colour(background)}"


def _inline(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
