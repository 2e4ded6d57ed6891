"""What is fitted once the weights are there: calibration and post-processing."""

from collections.abc import Sequence
from typing import Any

import torch

from pipeline.errors import PipelineError
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.postprocess.fit import fit
from pipeline.postprocess.params import PostprocessParams
from pipeline.sequences import Sequence as Video
from pipeline.sequences import VideoTarget
from pipeline.training.state import Tensors


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


def fitted(
    params: PostprocessParams,
    network: TemporalModule,
    weights: Tensors,
    training: Sequence[Video],
    validation: Sequence[Video],
) -> dict[str, Any]:
    """What the model's header holds besides; nothing where post-processing is off.

    Args:
        params: The section `postprocess`.
        network: Any with these weights' shapes, on any device; it has them afterwards.
        weights: Of the best epoch.
        training: Videos whose labels give the prior of viterbi.
        validation: Labelled videos whose logits decide.
    """
    if not params.is_on:
        return {}
    network.load_state_dict(weights)
    return fit(
        params,
        [_logits(network.eval(), video) for video in validation],
        [video.labels for video in validation],
        [video.labels for video in training],
        network.num_classes,
        training[0].fps,
    )


@torch.inference_mode()
def _logits(network: TemporalModule, video: Video) -> torch.Tensor:
    """(T, C) of a whole video, as it is evaluated."""
    device = next(network.parameters()).device
    features = torch.from_numpy(video.features).float()[None].to(device)
    mask = torch.ones(features.shape[:2], dtype=torch.bool, device=device)
    logits: torch.Tensor = network(features, mask).logits[-1][0].float().cpu()
    return logits
