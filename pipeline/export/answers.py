"""Logits to one answer per video without torch, as the metadata of a temporal model says.

The same as pipeline.evaluate.video_answers, whose softmax is torch's; tests hold the two against
each other.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.export.runtime import Floats


def probabilities(logits: Floats) -> NDArray[np.float64]:
    """The mean (C,) of what several networks say of the classes, from their logits (M, C)."""
    logits = logits.astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray((shares / shares.sum(axis=1, keepdims=True)).mean(axis=0))


def score(logits: Floats, metadata: Mapping[str, Any]) -> float:
    """The mean of what several networks say of a number, in its own unit.

    Args:
        logits: (M, 1), standardised by the training videos of each network.
        metadata: Of temporal.onnx.
    """
    members = [member["task"] for member in metadata.get("members", [metadata])]
    each = [
        own * task["std"] + task["mean"]
        for own, task in zip(logits[:, 0].astype(np.float64), members, strict=True)
    ]
    return float(np.mean(each))
