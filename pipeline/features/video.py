"""One video: its features, checked, described and put into the store."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.feature_store import write_features
from pipeline.features.encode import Encoder, encode
from pipeline.features.quantisation_frames import COMPARED_FRAMES, evenly_spaced
from pipeline.frame_store import FrameFile


@dataclass(frozen=True)
class MissingVideo:
    """A video whose features are missing.

    Attributes:
        container: Its frames.
        target: The file to write.
        fingerprint: Of the result.
    """

    container: Path
    target: Path
    fingerprint: str


@dataclass(frozen=True)
class FileWriter:
    """What turns containers of frames into feature files.

    Attributes:
        encoder: In the wanted precision.
        reference: In fp32, where each file is to say how close the features come to it.
        dtype: On disk.
        attributes: Of every file.
    """

    encoder: Encoder
    reference: Encoder | None
    dtype: str
    attributes: Mapping[str, Any]


def write_video(missing: MissingVideo, writer: FileWriter, pool: ThreadPoolExecutor) -> str:
    """Write the features of one video.

    Returns:
        A note for the terminal.

    Raises:
        PipelineError: A damaged frame, too little memory, or features that do not fit the dtype.
    """
    with FrameFile(missing.container) as frames:
        features = with_lost(encode(frames, writer.encoder, pool), frames.lost)
        attributes = dict(writer.attributes) | {
            "fps": frames.attributes["fps"],
            "frames_fingerprint": frames.attributes["fingerprint"],
            "fingerprint": missing.fingerprint,
        }
        note = f"{len(features)} frames"
        if writer.reference is not None:
            samples = frames.kept[evenly_spaced(len(frames.kept), COMPARED_FRAMES)]
            similar = cosine(features[samples], encode(frames, writer.reference, pool, samples))
            attributes |= {
                "fp32_cosine_mean": float(similar.mean()),
                "fp32_cosine_min": float(similar.min()),
                "fp32_cosine_frames": len(samples),
            }
            note += f", cosine to fp32 {similar.mean():.4f}"
        stored = _stored(features, writer.dtype, missing.container)
        write_features(missing.target, stored, frames.time_s, attributes, frames.lost)
    return note


def with_lost(features: NDArray[np.float32], lost: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Features of all samples; those of a lost one repeat the row before, at the start the next.

    Args:
        features: (K, D) of the samples that have their frame, at least one.
        lost: (T,) whether a sample lacks its frame, K times False.

    Returns:
        (T, D) float32.
    """
    rows: NDArray[np.intp] = np.maximum(np.cumsum(~lost) - 1, 0)
    return np.asarray(features[rows])


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine similarity, (T,), of rows (T, D) with rows (T, D); 0 beside a row of zeros."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    similar = np.zeros(len(a))
    np.divide((a * b).sum(axis=1), lengths, out=similar, where=lengths > 0)
    return similar


def _stored(features: NDArray[np.float32], dtype: str, container: Path) -> NDArray[Any]:
    """The features in the type of the file, checked to be finite in it."""
    with np.errstate(over="ignore"):
        stored = features.astype(dtype)
    if not np.isfinite(stored).all():
        largest = float(np.abs(features).max())
        raise PipelineError(
            f"{container}: features up to {largest:.3g} do not fit features.dtype: {dtype}. "
            "Set features.dtype: float32; if they are not finite there either, check the weights."
        )
    return stored
