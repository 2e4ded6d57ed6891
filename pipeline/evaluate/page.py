"""reports/index.html: one page that needs no network and no other file."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.atomic import write_text
from pipeline.drawing.colours import class_colours, text_colour
from pipeline.drawing.svg_ribbons import Ribbon, clock
from pipeline.evaluate.before_after import Change
from pipeline.evaluate.error_analysis import ConfusedPair, NearTransitions, WrongRun
from pipeline.evaluate.feature_view import FeatureView
from pipeline.evaluate.folds import PartsTable
from pipeline.evaluate.parameters import digest
from pipeline.evaluate.thumbnails import Thumbnail
from pipeline.evaluate.tracks import ScoredTrack
from pipeline.metrics import wording
from pipeline.metrics.boundary import EnteredPhase
from pipeline.metrics.headline import headline
from pipeline.metrics.keys import interval_keys, is_in, value_at
from pipeline.metrics.table import METRICS, metric
from pipeline.pages import templates_of


@dataclass(frozen=True)
class Warnings:
    """What a reader must know before the metrics.

    Attributes:
        untrained: Whether the backbone's weights are random.
        skipped: Damaged videos that were left out, with reasons.
        masked: Videos with undecodable pictures: name, samples lost, samples in all.
        unseen: Phases of the test videos that training never saw.
    """

    untrained: bool
    skipped: Sequence[tuple[str, str]]
    masked: Sequence[tuple[str, int, int]]
    unseen: Sequence[str]


@dataclass(frozen=True)
class Errors:
    """Where the test videos' errors are.

    Attributes:
        matrix: (C, C) test frames by true class (rows) and predicted class (columns).
        pairs: Most confused pairs of phases.
        near: Errors around transitions.
        without_frames: Whether there are no frames to show, because features were given.
        runs: Longest wrong runs, each with its frames and a picture of where in its middle frame
            the predicted phase came from, where these are there.
        boundaries: Transitions by the phase that they enter.
    """

    matrix: NDArray[np.int64]
    pairs: Sequence[ConfusedPair]
    near: NearTransitions
    without_frames: bool
    runs: Sequence[tuple[WrongRun, Sequence[Thumbnail], Thumbnail | None]]
    boundaries: Sequence[EnteredPhase]


@dataclass(frozen=True)
class Page:
    """What the page shows.

    Attributes:
        facts: What was run: name and text.
        parameters: What decided the result, by dotted key of params.yaml.
        warnings: On top.
        details: The group `test` of reports/details.json.
        changes: By post-processing; none where there is none.
        classes: Names in class order.
        fps: Frames per second of the ribbons.
        ribbons: The test videos from worst to best.
        errors: Confusions, transitions, worst moments.
        tracks: What is labelled beside the phases; mostly nothing.
        parts: Metrics by fold and by seed, where there are several.
        features: What the features see; None where there was nothing to compare with.
        pictures: PNG files by name: training, reliability, roc.
    """

    facts: Sequence[tuple[str, str]]
    parameters: Mapping[str, str]
    warnings: Warnings
    details: Mapping[str, Any]
    changes: Sequence[Change]
    classes: Sequence[str]
    fps: float
    ribbons: Sequence[Ribbon]
    errors: Errors
    tracks: Sequence[ScoredTrack]
    parts: Sequence[PartsTable]
    features: FeatureView | None
    pictures: Mapping[str, Path]


def write_page(page: Page, path: Path) -> None:
    """Write the page with its pictures, style and script inside."""
    environment = page_environment()
    environment.globals |= metric_words(page.details)
    colours = class_colours(len(page.classes))
    inks = [text_colour(colour) for colour in colours]
    text = environment.get_template("page.html.jinja").render(
        page=page,
        test=page.details,
        digest=digest(page.parameters),
        headline=headline(page.details),
        glossary=_glossary(page.details, page.classes),
        colours=colours,
        inks=inks,
        swatches=list(zip(colours, inks, strict=True)),
        readouts={
            "fps": page.fps,
            "phases": list(page.classes),
            "videos": {ribbon.video: ribbon.readout for ribbon in page.ribbons}
            | {
                f"{track.name}: {ribbon.video}": ribbon.readout | {"phases": track.classes}
                for track in page.tracks
                for ribbon in track.ribbons
            },
        },
    )
    write_text(path, text + "\n")


def page_environment() -> Environment:
    """The templates, with what every page needs of them."""
    environment = templates_of("pipeline.evaluate")
    environment.filters |= {
        "percent": wording.percent,
        "seconds": wording.seconds,
        "clock": clock,
        "picture": _inline,
        "shade": _shade,
        "json": _script_data,
    }
    environment.globals |= {"raw": lambda name: Markup(_source(environment, name))}
    return environment


def metric_words(details: Mapping[str, Any]) -> dict[str, Callable[[str], str]]:
    """Functions of a template from a metric's key to its value, interval and label as text.

    Args:
        details: Of a split, as in reports/details.json.
    """
    return {
        "written": lambda key: wording.written(metric(key), value_at(details, key)),
        "interval": lambda key: wording.interval(
            metric(key), *(value_at(details, end) for end in interval_keys(key))
        ),
        "label": lambda key: metric(key).label,
    }


def _source(environment: Environment, name: str) -> str:
    """A style or script file, word for word: it is no template."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _glossary(details: Mapping[str, Any], classes: Sequence[str]) -> list[tuple[str, str]]:
    """Labels and meaning of the metrics on the page; those of one meaning together."""
    found: dict[str, list[str]] = {}
    for row in METRICS:
        shown = row.kept or row.on_page
        if shown and is_in(details, row.key.replace("NAME", classes[0])):
            found.setdefault(row.meaning, []).append(row.label)
    return [(" · ".join(labels), meaning) for meaning, labels in found.items()]


def _script_data(data: Mapping[str, Any]) -> Markup:
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
