"""What a model's header says is done to its logits, done: for whole videos and frame by frame.

Where the header holds no `temperature` and no `postprocess`, that is a softmax and the likeliest
class.

The probabilities are always those of the (calibrated) network, because calibration and ROC curves
judge what the network believes. A smoothed or decoded sequence of phases has none of its own, and
the posterior of viterbi's online variant takes neighbouring frames, which resemble each other, for
independent witnesses: it is far too sure.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.postprocess import forward, median, min_duration, viterbi
from pipeline.postprocess.prior import prior_of
from pipeline.segments import Labels

FITTED = ("temperature", "postprocess", "fits")
"""Keys of the header that hold what was fitted after the training."""

Floats = NDArray[np.float64]
Probabilities = NDArray[np.float32]


def processed(logits: torch.Tensor, header: Mapping[str, Any]) -> tuple[Probabilities, Labels]:
    """Probabilities (T, C) and predicted phases (T,) of a whole video.

    Args:
        logits: (T, C) of the network.
        header: Of models/temporal.safetensors.
    """
    calibrated = logits.float() / header.get("temperature", 1.0)
    probabilities: Probabilities = calibrated.softmax(dim=1).cpu().numpy()
    prediction = probabilities.argmax(axis=1).astype(np.int64)
    numbers = header.get("postprocess", {})
    kind, online = _method(numbers)
    if kind == "none" or not len(logits):
        return probabilities, prediction
    logs = _log_softmax(calibrated)
    if kind == "median":
        medians = median.smoothed(logs, numbers["frames"], online)
        return probabilities, medians.argmax(axis=1).astype(np.int64)
    if kind == "min_duration":
        return probabilities, min_duration.without_short_runs(prediction, logs, numbers["frames"])
    prior = prior_of(numbers["prior"])
    if not online:
        return probabilities, viterbi.decode(logs, prior)
    return probabilities, forward.filtered(logs, prior).argmax(axis=1).astype(np.int64)


def step(
    logits: torch.Tensor, header: Mapping[str, Any], state: Floats | None = None
) -> tuple[Probabilities, int, Floats | None]:
    """Probabilities (C,) and phase of one more frame, and the state for the next one.

    Equal to `processed` on all frames so far, at a cost that does not grow with the video.

    Args:
        logits: (C,) of the network.
        header: Of models/temporal.safetensors.
        state: What the step before returned; None at a video's start.

    Raises:
        PipelineError: The model's post-processing needs the whole video.
    """
    numbers = header.get("postprocess", {})
    kind, online = _method(numbers)
    if kind != "none" and not online:
        raise PipelineError(
            f"models/temporal.safetensors: its post-processing, {kind} with online: false, needs "
            "the whole video. Set postprocess.online: true (with kind: median or viterbi), or "
            "postprocess.kind: none, and run `dvc repro`."
        )
    calibrated = logits.float() / header.get("temperature", 1.0)
    probabilities: Probabilities = calibrated.softmax(dim=0).cpu().numpy()
    if kind == "none":
        return probabilities, int(probabilities.argmax()), None
    logs = _log_softmax(calibrated[None])[0]
    if kind == "median":
        medians, state = median.step(logs, state, numbers["frames"])
        return probabilities, int(medians.argmax()), state
    posterior, state = forward.step(logs, state, prior_of(numbers["prior"]))
    return probabilities, int(posterior.argmax()), state


def of_fold(header: Mapping[str, Any], fold: int | None) -> Mapping[str, Any]:
    """The header with what was fitted in one fold in place of what was fitted to all of them.

    Args:
        header: Of models/temporal.safetensors.
        fold: None: all of them, or a single split.
    """
    if fold is None or "fits" not in header:
        return header
    own: dict[str, Any] = header["fits"][str(fold)]
    return {**header, **own}


def without_postprocess(header: Mapping[str, Any]) -> Mapping[str, Any]:
    """The header of the network alone."""
    return {key: value for key, value in header.items() if key not in FITTED}


def looks_ahead(header: Mapping[str, Any]) -> bool:
    """Whether the post-processing of a frame uses frames after it."""
    kind, online = _method(header.get("postprocess", {}))
    return kind != "none" and not online


def _method(numbers: Mapping[str, Any]) -> tuple[str, bool]:
    params = numbers.get("params", {})
    return params.get("kind", "none"), params.get("online", False)


def _log_softmax(logits: torch.Tensor) -> Floats:
    """In float64, in which sums over hours stay exact."""
    logs: Floats = logits.double().log_softmax(dim=1).cpu().numpy()
    return logs
