"""reports/index.html for one answer per video."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.atomic import write_text
from pipeline.drawing.colours import class_colours, text_colour
from pipeline.drawing.svg_ribbons import Ribbon
from pipeline.evaluate.folds import PartsTable
from pipeline.evaluate.page import page_environment
from pipeline.evaluate.parameters import digest
from pipeline.evaluate.video_answers import Answer
from pipeline.metrics.frame import confusion
from pipeline.metrics.headline import headline
from pipeline.metrics.keys import is_in
from pipeline.metrics.video_level import VIDEO_METRICS


@dataclass(frozen=True)
class VideoPage:
    """What the page shows.

    Attributes:
        target: The column of videos.csv that is predicted.
        facts: What was run: name and text.
        parameters: What decided the result, by dotted key of params.yaml.
        untrained: Whether the backbone's weights are random.
        skipped: Damaged videos that were left out, with reasons.
        left_out: Test videos without a value.
        unseen: Classes that training never saw.
        by_length: How well the length of the videos alone ranks them; empty where it cannot.
        details: The group `test` of reports/details.json.
        parts: Metrics by fold and by seed, where there are several.
        classes: Names in class order; none for a score.
        answers: Of the test videos, the worst first.
        phases: Names of the phases that colour the ribbons.
        ribbons: Attention over time, in the order of the answers; none without attention.
        training: Picture of the curves.
    """

    target: str
    facts: Sequence[tuple[str, str]]
    parameters: Mapping[str, str]
    untrained: bool
    skipped: Sequence[tuple[str, str]]
    left_out: Sequence[str]
    unseen: Sequence[str]
    by_length: str
    details: Mapping[str, Any]
    parts: Sequence[PartsTable]
    classes: Sequence[str]
    answers: Sequence[Answer]
    phases: Sequence[str]
    ribbons: Sequence[Ribbon]
    training: Path


def write_video_page(page: VideoPage, path: Path) -> None:
    """Write the page with its picture and style inside."""
    truth = np.array([a.truth for a in page.answers]).astype(np.int64)
    found = np.array([a.prediction for a in page.answers]).astype(np.int64)
    colours = class_colours(len(page.phases))
    text = (
        page_environment()
        .get_template("answers.html.jinja")
        .render(
            page={**vars(page), "pictures": {"training": page.training}},
            test=page.details,
            digest=digest(page.parameters),
            headline=headline(page.details),
            glossary=[
                (row.label, row.meaning) for row in VIDEO_METRICS if is_in(page.details, row.key)
            ],
            matrix=confusion(truth, found, len(page.classes)) if page.classes else None,
            colours=colours,
            inks=[text_colour(colour) for colour in colours],
            surgeons=page.details.get("surgeons"),
        )
    )
    write_text(path, text + "\n")
