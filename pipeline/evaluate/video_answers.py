"""The answers of a network with one per video, beside the truth, and their metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.evaluate.predict import check_features
from pipeline.metrics.bootstrap import every_video_once
from pipeline.metrics.ranking import ranking_in_draws
from pipeline.metrics.video_level import summarise_videos
from pipeline.metrics.video_scores import spearman_in_draws, summarise_scores
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.networks.temporal.ensemble import Ensemble
from pipeline.networks.temporal.video_head import VideoHead
from pipeline.sequences import Sequence as VideoSequence
from pipeline.video_targets import ordered


@dataclass(frozen=True)
class Answer:
    """Truth and prediction of one video.

    Attributes:
        video: Identifier.
        truth: Number of the class, or the score; NaN where it is not known.
        prediction: The same of what was predicted.
        probabilities: (C,) of the classes; None for a score.
        attention: (T,) how much each frame counted, sum 1.
    """

    video: str
    truth: float
    prediction: float
    probabilities: NDArray[np.float64] | None
    attention: NDArray[np.float64]

    @property
    def wrongness(self) -> float:
        """Higher is worse: what the true class lacks in probability, or the error of a score."""
        if self.probabilities is None:
            return abs(self.prediction - self.truth)
        return 1 - float(self.probabilities[int(self.truth)])


def classes_of(header: Mapping[str, Any], values: Sequence[str]) -> tuple[str, ...]:
    """The model's classes and those that only the scored videos have, in order; none for a score.

    Args:
        header: Of models/temporal.safetensors.
        values: Of the videos that are scored.
    """
    return ordered([*header["classes"], *values]) if header["classes"] else ()


@torch.inference_mode()
def answer(
    network: VideoHead,
    header: Mapping[str, Any],
    sequence: VideoSequence,
    value: str | None,
    classes: Sequence[str],
    device: torch.device,
) -> Answer:
    """Predict a video.

    Args:
        network: Trained, on the device.
        header: Of its file.
        sequence: The video's features.
        value: Its truth, as data/index/videos.csv writes it; None where it is not known.
        classes: As classes_of gives them; one that the model does not know has probability 0.
        device: Where to predict.

    Raises:
        PipelineError: The features come from another backbone or rate than the network's.
    """
    check_features(header, sequence)
    features = torch.from_numpy(sequence.features).float()[None].to(device)
    mask = torch.ones(features.shape[:2], dtype=torch.bool, device=device)
    (logits,) = network(features, mask).logits  # (1, 1, C)
    outputs = logits[0, 0].double().cpu()
    attention = network.attention(features, mask)[0].double().cpu().numpy()
    if not classes:
        task = header["task"]
        score = float(outputs[0]) * task["std"] + task["mean"]
        truth = float("nan" if value is None else value)
        return Answer(sequence.video, truth, score, None, attention)
    probabilities = np.zeros(len(classes))
    known = [classes.index(name) for name in header["classes"]]
    probabilities[known] = outputs.softmax(dim=0).numpy()
    truth = float("nan" if value is None else classes.index(value))
    found = float(probabilities.argmax())
    return Answer(sequence.video, truth, found, probabilities, attention)


def members_of(
    network: TemporalModule,
    header: Mapping[str, Any],
    fold: int | None = None,
    seed: int | None = None,
) -> list[tuple[VideoHead, Mapping[str, Any]]]:
    """The trained networks of a model file, each with what the header says of it.

    Args:
        network: As the header rebuilds it.
        header: Of models/temporal.safetensors.
        fold: None: of all folds.
        seed: None: of all seeds.
    """
    if not isinstance(network, Ensemble):
        return [(cast(VideoHead, network), header)]
    return [
        (cast(VideoHead, network[number]), {**header, **member})
        for number, member in enumerate(header["members"])
        if fold in (None, member["fold"]) and seed in (None, member["seed"])
    ]


def mean_answer(answers: Sequence[Answer]) -> Answer:
    """The answer of several networks to one video: the mean of probabilities, or of scores.

    Args:
        answers: One per network, to the same video.
    """
    first = answers[0]
    if len(answers) == 1:
        return first
    attention = np.mean([a.attention for a in answers], axis=0)
    each = [a.probabilities for a in answers if a.probabilities is not None]
    if not each:
        score = float(np.mean([a.prediction for a in answers]))
        return Answer(first.video, first.truth, score, None, attention)
    probabilities = np.mean(each, axis=0)
    return Answer(first.video, first.truth, float(probabilities.argmax()), probabilities, attention)


def summarise_answers(
    answers: Sequence[Answer],
    classes: Sequence[str],
    is_ordered: bool,
    surgeons: Sequence[str] | None,
    num_draws: int,
) -> dict[str, Any]:
    """Every metric of these videos, whichever models answered.

    Args:
        answers: One per video.
        classes: Names in class order; none for a score.
        is_ordered: Whether the order of the classes means something.
        surgeons: Who operated, one per video; None where it is not known.
        num_draws: Of the bootstrap over videos; 0 leaves the intervals out.
    """
    truth = np.array([a.truth for a in answers])
    prediction = np.array([a.prediction for a in answers])
    if not classes:
        return summarise_scores(truth, prediction, num_draws)
    return summarise_videos(
        truth.astype(np.int64),
        prediction.astype(np.int64),
        np.array([a.probabilities for a in answers], dtype=np.float64),
        classes,
        surgeons,
        num_draws,
        is_ordered,
    )


def told_by_length(answers: Sequence[Answer], classes: Sequence[str], is_ordered: bool) -> str:
    """How well the length of the videos alone ranks them, as text: what a model has to beat.

    The skilled are quicker, and a network that sees whole videos sees how long they are.

    Args:
        answers: One per video.
        classes: Names in class order; none for a score.
        is_ordered: Whether the order of the classes means something.

    Returns:
        ROC AUC for two classes, else Spearman's rho; empty for more classes without an order, and
        where all videos are of one class or length.
    """
    truth = np.array([a.truth for a in answers])
    length = np.array([float(len(a.attention)) for a in answers])
    once = every_video_once(len(answers))
    if len(classes) == 2:
        area = float(ranking_in_draws(truth == 1, length, once)[0][0])
        return "" if np.isnan(area) else f"ROC AUC {max(area, 1 - area):.3f}"
    if classes and not is_ordered:
        return ""
    rho = float(spearman_in_draws(length, truth, once)[0])
    return "" if np.isnan(rho) else f"Spearman's rho {rho:.3f}"
