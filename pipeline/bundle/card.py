"""The model card of a bundle: what has to be known before it is used on a patient's video.

After Mitchell et al., "Model Cards for Model Reporting", FAT* 2019. What is not known it says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from pipeline.errors import PipelineError
from pipeline.evaluate.facts import training_of, untrained
from pipeline.metrics.headline import Line, headline, lines_of
from pipeline.metrics.image_level import IMAGE_METRICS
from pipeline.model_pair import task_of
from pipeline.settings import read_value

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
        confusions: Sentences on the pairs of classes that are confused most.
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
    def of_videos(self) -> bool:
        """Whether there is one answer per video."""
        return task_of(self.temporal) == "video"

    @property
    def of_images(self) -> bool:
        """Whether there is a class per image."""
        return task_of(self.temporal) == "images"

    @property
    def samples(self) -> str:
        """What the models tell apart: the word for many of them."""
        return "images" if self.of_images else "videos"

    @property
    def what(self) -> str:
        """What the models do, in a sentence."""
        classes, fps = f"{len(self.temporal['classes'])} classes", f"{self.temporal['fps']:g}"
        if self.of_images:
            return f"The class of single images: {classes}."
        if not self.of_videos:
            return f"Phases of surgical video: {classes}, {fps} predictions per second of video."
        return (
            f"One answer to a whole surgical video, its {self.temporal['task']['target']}: "
            f"{'a number' if self.scores else classes}, from frames at {fps} per second."
        )

    @property
    def kept(self) -> str:
        """The epochs of the networks in the file."""
        if "members" in self.temporal:
            epochs = [str(member["best_epoch"]) for member in self.temporal["members"]]
            return f"{len(epochs)} networks that answer together, epochs {', '.join(epochs)}"
        best, all_epochs = (self.temporal.get(key, UNKNOWN) for key in ("best_epoch", "epochs"))
        return f"epoch {best} of {all_epochs}"

    @property
    def scores(self) -> str:
        """The scores of the training videos; empty where classes are predicted."""
        task = self.temporal.get("task", {})
        if task.get("scale") != "number":
            return ""
        if "mean" not in task:  # each fold has its own
            return UNKNOWN
        return f"mean {task['mean']:.4g}, standard deviation {task['std']:.4g}"

    @property
    def figures(self) -> list[Line]:
        """The headline with its intervals."""
        if self.of_images:
            return lines_of(IMAGE_METRICS, self.details)
        return headline(self.details)

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


def parameter(key: str, params: Path) -> str:
    """A value of a project's params.yaml, where there is one."""
    try:
        return str(read_value(key, str, params))
    except PipelineError:
        return UNKNOWN


def _cell(text: object) -> str:
    """A text in a cell of a table."""
    return str(text).replace("|", "\\|").replace("\n", " ")
