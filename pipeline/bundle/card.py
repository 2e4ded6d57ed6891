"""The model card of a bundle: what has to be known before it is used on a patient's video.

After Mitchell et al., "Model Cards for Model Reporting", FAT* 2019. What is not known it says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from pipeline.errors import PipelineError
from pipeline.evaluate.error_analysis import confused_pairs
from pipeline.evaluate.facts import training_of, untrained
from pipeline.metrics.frame import confusion
from pipeline.metrics.headline import Line, headline
from pipeline.prediction_files import read_prediction
from pipeline.settings import read_value

_CONFUSIONS = 5
UNKNOWN = "not recorded"
"""What a card says of a fact that is not known."""


@dataclass(frozen=True)
class Card:
    """The facts of a card.

    Attributes:
        backbone: Header of the backbone.
        temporal: Header of the temporal model.
        parameters: What decided the models, by dotted key of params.yaml.
        details: The group `test` of reports/details.json; empty where there is no report.
        confusions: Sentences on the pairs of phases that are confused most.
        layout: Of the data set.
        scheme: How videos were split.
        licence: Of the bundle.
    """

    backbone: Mapping[str, Any]
    temporal: Mapping[str, Any]
    parameters: Mapping[str, str]
    details: Mapping[str, Any]
    confusions: Sequence[str]
    layout: str
    scheme: str
    licence: str

    @property
    def figures(self) -> list[Line]:
        """The headline with its intervals."""
        return headline(self.details) if self.details else []

    @property
    def unseen(self) -> list[str]:
        """Classes without a frame in the training videos."""
        seen = self.temporal.get("classes_seen", self.temporal["classes"])
        return [name for name in self.temporal["classes"] if name not in seen]

    @property
    def training_videos(self) -> str:
        """How many there were."""
        return str(self.temporal.get("seen", {}).get("videos", UNKNOWN))

    @property
    def weights(self) -> str:
        """Where the backbone's weights come from, and what was done to them."""
        return f"{self.backbone.get('weights', UNKNOWN)}{training_of(self.backbone)}"

    @property
    def weights_licence(self) -> str:
        """Of the weights that the backbone began with."""
        return str(self.backbone.get("weights_licence", UNKNOWN))

    @property
    def untrained(self) -> bool:
        """Whether the backbone's weights are random."""
        return "weights" in self.backbone and untrained(self.backbone)


def model_card(card: Card) -> str:
    """The card as Markdown."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.bundle"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML
    )
    environment.filters["cell"] = _cell
    return environment.get_template("model_card.md.jinja").render(card=card, unknown=UNKNOWN)


def known_confusions(predictions: Path, classes: Sequence[str]) -> list[str]:
    """The pairs of phases that are confused most, from reports/predictions, a sentence each."""
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for path in sorted(predictions.glob("*.csv")):
        video = read_prediction(path, str(path))
        if video.classes != tuple(classes):
            raise PipelineError(
                f"{path}: its phases are {', '.join(video.classes)}, those of the models "
                f"{', '.join(classes)}. Run `dvc repro`, so that report and models belong together."
            )
        labelled = video.scored.labelled
        matrix += confusion(
            video.scored.truth[labelled], video.scored.prediction[labelled], len(classes)
        )
    return [
        f"{classes[pair.truth]} taken for {classes[pair.prediction]}: {pair.count} frames, "
        f"{100 * pair.of_phase:.0f} % of that phase"
        for pair in confused_pairs(matrix, _CONFUSIONS)
    ]


def parameter(key: str, params: Path) -> str:
    """A value of a project's params.yaml, where there is one."""
    try:
        return str(read_value(key, str, params))
    except PipelineError:
        return UNKNOWN


def _cell(text: object) -> str:
    """A text in a cell of a table."""
    return str(text).replace("|", "\\|").replace("\n", " ")
