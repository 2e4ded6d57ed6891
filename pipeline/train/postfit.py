"""What is fitted once the weights are there: calibration and post-processing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.errors import PipelineError
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.postprocess.fit import fit
from pipeline.postprocess.params import PostprocessParams
from pipeline.sequences import Sequence as Video
from pipeline.sequences import VideoTarget


def check_postprocess(
    params: PostprocessParams, training: Sequence[Video], validation: Sequence[Video]
) -> None:
    """Refuse what the videos do not allow, before anything is trained.

    Raises:
        PipelineError: Post-processing of one class per video, or a choice by validation videos that
            are not there.
    """
    if params.is_on and any(isinstance(video.target, VideoTarget) for video in training):
        raise PipelineError(
            "params.yaml: postprocess smooths and calibrates phases over time, but here a video "
            "has one class. Set postprocess.kind: none and postprocess.temperature: false."
        )
    if params.fitted_to and not validation:
        raise PipelineError(
            f"data/index/splits.csv: no readable video in val has a label, but {params.fitted_to}, "
            "which is fitted to them. Give val a video (split in params.yaml), or set "
            "postprocess.temperature: false and postprocess.seconds to a number."
        )


@dataclass(frozen=True)
class Fold:
    """A fold that is trained, or the single split.

    Attributes:
        number: From 1; None for a single split.
        network: With the weights of the best epoch; an Ensemble of several seeds.
        training: Videos whose labels give the prior of viterbi.
        validation: Labelled videos whose logits decide.
    """

    number: int | None
    network: TemporalModule
    training: Sequence[Video]
    validation: Sequence[Video]


def fitted(params: PostprocessParams, folds: Sequence[Fold]) -> dict[str, Any]:
    """What the model's header holds besides; nothing where post-processing is off.

    Of several folds, each has its own fit in `fits`, by which its test videos are scored. New
    videos, which all folds predict together, take the fit to the validation videos of all, each
    predicted by the networks that did not learn from it.

    Args:
        params: The section `postprocess`.
        folds: All that were trained.
    """
    if not params.is_on:
        return {}
    logits = {
        fold.number: [_logits(fold.network.eval(), video) for video in fold.validation]
        for fold in folds
    }

    def fit_to(some: Sequence[Fold]) -> dict[str, Any]:
        return fit(
            params,
            [own for fold in some for own in logits[fold.number]],
            [video.labels for fold in some for video in fold.validation],
            [video.labels for fold in some for video in fold.training],
            some[0].network.num_classes,
            some[0].training[0].fps,
        )

    each = {str(fold.number): fit_to([fold]) for fold in folds} if len(folds) > 1 else {}
    return fit_to(folds) | ({"fits": each} if each else {})


@torch.inference_mode()
def _logits(network: TemporalModule, video: Video) -> torch.Tensor:
    """(T, C) of a whole video, as it is evaluated."""
    device = next(network.parameters()).device
    features = torch.from_numpy(video.features).float()[None].to(device)
    mask = torch.ones(features.shape[:2], dtype=torch.bool, device=device)
    logits: torch.Tensor = network(features, mask).logits[-1][0].float().cpu()
    return logits
