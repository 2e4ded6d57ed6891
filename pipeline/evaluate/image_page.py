"""reports/index.html of a data set of single images: one page that needs no other file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import write_text
from pipeline.drawing.colours import class_colours, text_colour
from pipeline.evaluate.error_analysis import ConfusedPair
from pipeline.evaluate.page import metric_words, page_environment
from pipeline.evaluate.parameters import digest
from pipeline.evaluate.thumbnails import Thumbnail
from pipeline.metrics.headline import lines_of
from pipeline.metrics.image_level import IMAGE_METRICS


@dataclass(frozen=True)
class WorstImage:
    """An image that was taken for another class.

    Attributes:
        name: Identifier.
        truth: Class.
        prediction: Class.
        confidence: Probability of the predicted class.
        picture: The image; None where it is not there.
    """

    name: str
    truth: int
    prediction: int
    confidence: float
    picture: Thumbnail | None


@dataclass(frozen=True)
class ImagePage:
    """What the page shows.

    Attributes:
        facts: What was run: name and text.
        parameters: What decided the result, by dotted key of params.yaml.
        untrained: Whether the backbone's weights are random.
        skipped: Damaged images that were left out, with reasons.
        unseen: Classes of the test images that training never saw.
        details: The group `test` of reports/details.json.
        classes: Names in class order.
        matrix: (C, C) test images by true class (rows) and predicted class (columns).
        pairs: Most confused pairs of classes.
        worst: Errors, the surest first.
        pictures: PNG files by name: training, reliability, roc.
    """

    facts: Sequence[tuple[str, str]]
    parameters: Mapping[str, str]
    untrained: bool
    skipped: Sequence[tuple[str, str]]
    unseen: Sequence[str]
    details: Mapping[str, Any]
    classes: Sequence[str]
    matrix: NDArray[np.int64]
    pairs: Sequence[ConfusedPair]
    worst: Sequence[WorstImage]
    pictures: Mapping[str, Path]


def write_image_page(page: ImagePage, path: Path) -> None:
    """Write the page with its pictures and style inside."""
    environment = page_environment()
    environment.globals |= metric_words(page.details)
    colours = class_colours(len(page.classes))
    text = environment.get_template("images.html.jinja").render(
        page=page,
        test=page.details,
        digest=digest(page.parameters),
        headline=lines_of(IMAGE_METRICS, page.details),
        meanings=[(row.label, row.meaning) for row in IMAGE_METRICS],
        colours=colours,
        inks=[text_colour(colour) for colour in colours],
    )
    write_text(path, text + "\n")
