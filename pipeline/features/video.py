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
from pipeline.features.encode import Encoder, encode_jpegs
from pipeline.features.quantisation_frames import COMPARED_FRAMES, evenly_spaced
from pipeline.features.rows import cosine, stored_as, with_lost
from pipeline.frame_store import FrameFile


@dataclass(frozen=True)
class MissingVideo:
    """A video whose features are not in the store.

    Attributes:
        container: Its frames.
        target: The file to write.
        fingerprint: Names the result.
    """

    container: Path
    target: Path
    fingerprint: str


@dataclass(frozen=True)
class FileWriter:
    """What turns containers of frames into files of features.

    Attributes:
        encoder: In the wanted precision.
        reference: In fp32, where each file says how close its features come to it; else None.
        dtype: Type of the features on disk.
        attributes: Written into every file.
    """

    encoder: Encoder
    reference: Encoder | None
    dtype: str
    attributes: Mapping[str, Any]


def write_video(video: MissingVideo, by: FileWriter, pool: ThreadPoolExecutor) -> str:
    """Write the features of one video.

    Returns:
        A note for the terminal.

    Raises:
        PipelineError: A damaged frame, too little memory, or features that do not fit the dtype.
    """
    with FrameFile(video.container) as frames:
        try:
            return _encode(video, frames, by, pool)
        except PipelineError as error:
            raise PipelineError(f"{video.container}: {error}") from None


def _encode(
    video: MissingVideo, frames: FrameFile, by: FileWriter, pool: ThreadPoolExecutor
) -> str:
    features = with_lost(_features(frames, frames.kept, by.encoder, pool), frames.lost)
    attributes = dict(by.attributes) | {
        "fps": frames.attributes["fps"],
        "enlarged": short_side_px(frames) < by.encoder.transform.resize_px,
        "frames_fingerprint": frames.attributes["fingerprint"],
        "fingerprint": video.fingerprint,
    }
    note = f"{len(features)} frames"
    if by.reference is not None:
        samples = evenly_spaced(frames.kept, COMPARED_FRAMES)
        similar = cosine(features[samples], _features(frames, samples, by.reference, pool))
        attributes |= {
            "fp32_cosine_mean": float(similar.mean()),
            "fp32_cosine_min": float(similar.min()),
            "fp32_cosine_frames": len(samples),
        }
        note += f", cosine to fp32 {similar.mean():.4f}"
    stored = stored_as(features, by.dtype)
    write_features(video.target, stored, frames.time_s, attributes, frames.lost)
    return note


def short_side_px(frames: FrameFile) -> int:
    """The shorter side of the frames."""
    return int(min(frames.attributes["height"], frames.attributes["width"]))


def _features(
    frames: FrameFile, samples: NDArray[np.int64], encoder: Encoder, pool: ThreadPoolExecutor
) -> NDArray[np.float32]:
    return encode_jpegs((frames.jpeg(sample) for sample in samples.tolist()), encoder, pool)
