"""Logits to phases without torch, as the metadata of a temporal model says.

The same as pipeline.postprocess.applied.processed, whose softmax is torch's; tests hold the two
against each other.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.export.runtime import Floats
from pipeline.postprocess import forward, median, min_duration, viterbi
from pipeline.postprocess.prior import prior_of
from pipeline.segments import Labels


def phases(logits: Floats, metadata: Mapping[str, Any]) -> tuple[Floats, Labels]:
    """Probabilities (T, C) and phases (T,) of a whole video.

    Args:
        logits: (T, C) of the network.
        metadata: Of temporal.onnx.
    """
    logs = _log_softmax(logits.astype(np.float64) / metadata.get("temperature", 1.0))
    probabilities = np.exp(logs).astype(np.float32)
    return probabilities, _smoothed(logs, metadata.get("postprocess", {}))


def _smoothed(logs: NDArray[np.float64], numbers: Mapping[str, Any]) -> Labels:
    params = numbers.get("params", {})
    kind, online = params.get("kind", "none"), params.get("online", False)
    likeliest: Labels = logs.argmax(axis=1).astype(np.int64)
    if kind == "none" or not len(logs):
        return likeliest
    if kind == "median":
        medians = median.smoothed(logs, numbers["frames"], online)
        return np.asarray(medians.argmax(axis=1), dtype=np.int64)
    if kind == "min_duration":
        return min_duration.without_short_runs(likeliest, logs, numbers["frames"])
    prior = prior_of(numbers["prior"])
    if not online:
        return viterbi.decode(logs, prior)
    return np.asarray(forward.filtered(logs, prior).argmax(axis=1), dtype=np.int64)


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
