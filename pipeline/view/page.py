"""The page that plays a video with its phases: one HTML file, and the video that it names."""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.atomic import write_text
from pipeline.drawing.colours import class_colours, text_colour
from pipeline.pages import templates_of
from pipeline.scored_video import Probabilities
from pipeline.segments import Labels, segments
from pipeline.view.confidence import confidence
from pipeline.view.playable import why_not_played

_SCRIPTS = ("labels.js", "keeping.js", "ribbons.js", "pointer.js", "page.js")


@dataclass(frozen=True)
class View:
    """What the page shows.

    Attributes:
        video: The video file; the page names it by its path from the page's folder.
        fps: Samples per second.
        time_s: (T,) seconds of the samples, ascending.
        classes: Names in class order.
        prediction: (T,) classes, -1 where the model left a sample unlabelled.
        probabilities: (T, C) in [0, 1].
        truth: (T,) classes, -1 where unlabelled; None where nothing is known.
        attention: (T,) weights, 0 or above; None where the model has none.
        model: What made the prediction, in a few lines of text.
        name: The video's identifier in exported labels; None is its file's name without ending.
    """

    video: Path
    fps: float
    time_s: NDArray[np.float64]
    classes: tuple[str, ...]
    prediction: Labels
    probabilities: Probabilities
    truth: Labels | None = None
    attention: NDArray[np.floating] | None = None
    model: str = ""
    name: str | None = None

    def __post_init__(self) -> None:
        samples = (self.time_s, self.prediction, self.probabilities, self.truth, self.attention)
        lengths = {len(values) for values in samples if values is not None}
        if lengths != {len(self.time_s)} or not lengths - {0}:
            raise ValueError(f"a view's samples have the lengths {sorted(lengths)}")
        if self.probabilities.shape[1] != len(self.classes):
            raise ValueError(f"{self.probabilities.shape[1]} columns, {len(self.classes)} classes")


def write_view(view: View, path: Path) -> None:
    """Write the page with its style, script and data inside.

    Args:
        view: What it shows.
        path: The HTML file.

    Raises:
        VideoError: The video cannot be opened.
    """
    environment = templates_of("pipeline.view")
    assert environment.loader is not None
    source = environment.loader.get_source
    colours = class_colours(len(view.classes))
    video = view.name or view.video.stem
    text = environment.get_template("view.html.jinja").render(
        video=video,
        file=quote(os.path.relpath(view.video, path.parent).replace(os.sep, "/")),
        file_name=view.video.name,
        model=view.model,
        why_not_played=why_not_played(view.video),
        phases=list(zip(view.classes, colours, map(text_colour, colours), strict=True)),
        style=Markup(source(environment, "view.css")[0]),
        scripts=Markup("".join(source(environment, script)[0] for script in _SCRIPTS)),
        data=_script_data(_data(view, video)),
    )
    write_text(path, text + "\n")


def _data(view: View, video: str) -> dict[str, Any]:
    """What the script reads: runs as starts and classes, rows as one byte per sample."""
    colours = class_colours(len(view.classes))
    data: dict[str, Any] = {
        "video": video,
        "phases": list(view.classes),
        "colours": colours,
        "inks": [text_colour(colour) for colour in colours],
        "times": _times(view),
        "prediction": _runs(view.prediction),
        "truth": None if view.truth is None else _runs(view.truth),
        "confidence": _bytes(confidence(view.prediction, view.probabilities)),
        "attention": None,
    }
    if view.attention is not None:
        data["attention"] = _bytes(view.attention / max(float(view.attention.max()), 1e-12))
    # Corrections belong to one prediction: they are kept under what identifies it.
    identity = json.dumps([video, view.model, data], sort_keys=True).encode()
    return data | {"key": f"surgphase {hashlib.sha256(identity).hexdigest()[:16]}"}


def _times(view: View) -> list[list[int]]:
    """First time, steps from sample to sample, and the last sample's length, in microseconds.

    Returns:
        [[1, first], [count, step], ...]; steps that repeat are counted.
    """
    ticks = np.round(view.time_s * 1e6).astype(np.int64)
    steps = segments(np.append(np.diff(ticks), round(1e6 / view.fps)))
    counts = (steps.end - steps.start).tolist()
    return [[1, int(ticks[0])], *map(list, zip(counts, steps.label.tolist(), strict=True))]


def _runs(labels: Labels) -> list[list[int]]:
    runs = segments(labels)
    return [runs.start.tolist(), runs.label.tolist()]


def _bytes(shares: NDArray[np.floating]) -> str:
    """Values in [0, 1] as base64 of one byte each, 255 for 1."""
    steps = np.round(255 * np.clip(np.nan_to_num(shares), 0, 1)).astype(np.uint8)
    return base64.b64encode(steps.tobytes()).decode("ascii")


def _script_data(data: Mapping[str, Any]) -> Markup:
    # "</script>" in a phase's name must not end the element.
    return Markup(json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"))
