"""Exported files held against the networks that they came from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.export.images import Images

TOLERANCE = 1e-3
"""Of features in fp32, relative to their length."""

# More than a block of frames of the networks whose blocks have a fixed size.
_MANY = 100

Floats = NDArray[np.float32]
# From images to features, from features (T, D) to logits (T, C), and from them to the logits (M, C)
# and the attention (M, T) of networks with one answer per video.
Encode = Callable[[Images], Floats]
Predict = Callable[[Floats], Floats]
Answer = Callable[[Floats], tuple[Floats, Floats]]


def relative_difference(found: Floats, wanted: Floats) -> float:
    """The largest distance of a row from the one that it should be, relative to its length."""
    distance = np.linalg.norm(found.astype(np.float64) - wanted, axis=1)
    return float((distance / np.maximum(np.linalg.norm(wanted, axis=1), 1e-12)).max())


def features_differ(path: Path, encode: Encode, network: torch.nn.Module, images: Images) -> float:
    """By how much, in fp32, also for a batch of another size.

    Raises:
        PipelineError: By more than rounding.
    """
    with torch.inference_mode():
        wanted = network(torch.from_numpy(images)).float().numpy()
    whole, one = encode(images), encode(images[:1])
    found = max(relative_difference(whole, wanted), relative_difference(one, wanted[:1]))
    if not found <= TOLERANCE:
        raise PipelineError(
            f"{path}: its features differ from torch's by {found:.2g} of their length, more than "
            f"{TOLERANCE:g}. It was not kept. Try another version of torch or onnxscript."
        )
    return found


def logits_differ(path: Path, predict: Predict, wanted: Predict, features: Floats) -> float:
    """By how much at most, and predictions not at all, for one frame, these, and many.

    Raises:
        PipelineError: By more than rounding, or a prediction differs.
    """
    largest = 0.0
    for rows in _lengths(features):
        found, right = predict(rows), wanted(rows)
        largest = max(largest, float(np.abs(found - right).max()))
        others = int((found.argmax(axis=1) != right.argmax(axis=1)).sum())
        if others or not largest <= TOLERANCE * max(1.0, float(np.abs(right).max())):
            raise PipelineError(
                f"{path}: differs from torch: {others} of {len(rows)} predictions, logits by up to "
                f"{largest:.2g}. It was not kept. Try another version of torch or onnxscript."
            )
    return largest


def answers_differ(path: Path, answer: Answer, wanted: Answer, features: Floats) -> float:
    """By how much the logits of answers to a whole video do at most, as logits_differ.

    Raises:
        PipelineError: By more than rounding, or an answer differs, or where the networks looked.
    """
    largest = 0.0
    for rows in _lengths(features):
        (found, looked), (right, looks) = answer(rows), wanted(rows)
        largest = max(largest, float(np.abs(found - right).max()))
        elsewhere = float(np.abs(looked - looks).max())  # of 1
        if (
            bool((found.argmax(axis=1) != right.argmax(axis=1)).any())
            or not largest <= TOLERANCE * max(1.0, float(np.abs(right).max()))
            or not elsewhere <= TOLERANCE
        ):
            raise PipelineError(
                f"{path}: differs from torch: logits by up to {largest:.2g}, attention by up to "
                f"{elsewhere:.2g}. It was not kept. Try another version of torch or onnxscript."
            )
    return largest


def _lengths(features: Floats) -> tuple[Floats, ...]:
    """Videos of one frame, of these, and of many: one after the other, again and again."""
    return features[:1], features, np.resize(features, (_MANY, features.shape[1]))
