"""The numbers of calibration and post-processing, from validation logits and training labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pipeline.postprocess.applied import processed
from pipeline.postprocess.calibration import fit_temperature
from pipeline.postprocess.median import window_frames
from pipeline.postprocess.params import PostprocessParams
from pipeline.postprocess.prior import learn_prior
from pipeline.segments import Labels
from pipeline.training.history import macro_f1, rounded

SECONDS = (0, 1, 2, 5, 10, 20, 30, 60, 120)
"""What `seconds: null` chooses from; 0 is a window or a run of one frame."""


def fit(
    params: PostprocessParams,
    logits: Sequence[torch.Tensor],
    truth: Sequence[Labels],
    training: Sequence[Labels],
    num_classes: int,
    fps: float,
) -> dict[str, Any]:
    """What a model's header holds for applied.py: JSON values; nothing where nothing is on.

    Args:
        params: The section `postprocess`.
        logits: (T, C) of each validation video; none only where `params.fitted_to` is None.
        truth: (T,) their classes, -1 where unlabelled.
        training: (T,) classes of each training video.
        num_classes: C.
        fps: Frames per second of all videos.

    Returns:
        `temperature`, where it is on, and `postprocess`: `params` as they are; `seconds` that is
        used; where it was chosen, `tried`, pairs of seconds and validation macro F1, and
        `untouched`, that of the network alone; `frames` of the median's window or of the shortest
        run, or `prior` of viterbi.
    """
    if not params.is_on:
        return {}
    header: dict[str, Any] = {"postprocess": {"params": params.model_dump()}}
    if params.temperature:
        labelled = np.concatenate(truth) >= 0
        frames = torch.cat(list(logits)).double().cpu().numpy()[labelled]
        header["temperature"] = fit_temperature(frames, np.concatenate(truth)[labelled])
    if params.kind == "none":
        return header
    candidates = SECONDS if params.seconds is None else (params.seconds,)
    headers = [
        header
        | {
            "postprocess": header["postprocess"]
            | _numbers(params.kind, seconds, training, num_classes, fps)
        }
        for seconds in candidates
    ]
    if params.seconds is not None:
        return headers[0]
    scores = [rounded(_macro_f1(logits, truth, candidate)) for candidate in headers]
    # The first of equals: the shortest duration.
    chosen = headers[scores.index(max(scores))]
    tried = [list(pair) for pair in zip(SECONDS, scores, strict=True)]
    without = {key: value for key, value in header.items() if key != "postprocess"}
    network = rounded(_macro_f1(logits, truth, without))
    return chosen | {"postprocess": chosen["postprocess"] | {"tried": tried, "untouched": network}}


def _numbers(
    kind: str, seconds: float, training: Sequence[Labels], num_classes: int, fps: float
) -> dict[str, Any]:
    if kind == "median":
        return {"seconds": seconds, "frames": window_frames(seconds, fps)}
    frames = max(1, round(seconds * fps))
    if kind == "min_duration":
        return {"seconds": seconds, "frames": frames}
    return {"seconds": seconds, "prior": learn_prior(training, num_classes, frames).record()}


def _macro_f1(
    logits: Sequence[torch.Tensor], truth: Sequence[Labels], header: dict[str, Any]
) -> float:
    """Of all labelled validation frames pooled, as the best epoch is chosen."""
    prediction = np.concatenate([processed(video, header)[1] for video in logits])
    labels = np.concatenate(truth)
    return macro_f1(labels[labels >= 0], prediction[labels >= 0])
