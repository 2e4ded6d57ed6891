"""One video: its features, checked, described and put into the store."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clips import Clips
from pipeline.errors import PipelineError
from pipeline.feature_store import write_features
from pipeline.features.encode import Encoder, encode_jpegs
from pipeline.features.encode_clips import encode_clips
from pipeline.features.quantisation_frames import COMPARED_FRAMES, evenly_spaced
from pipeline.features.rows import cosine, stored_as, with_lost
from pipeline.features.views import mean, views
from pipeline.frame_store import FrameFile
from pipeline.result_store import claimed


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
        clips: Which frames make a sample's clip; None where a sample is one frame.
        tta: Which views of each frame the features are means over, as in params.yaml.
    """

    encoder: Encoder
    reference: Encoder | None
    dtype: str
    attributes: Mapping[str, Any]
    clips: Clips | None = None
    tta: str = "none"


def write_video(video: MissingVideo, by: FileWriter, pool: ThreadPoolExecutor) -> str:
    """Write the features of one video, unless another process has written them meanwhile.

    Returns:
        A note for the terminal.

    Raises:
        PipelineError: A damaged frame, too little memory, or features that do not fit the dtype.
    """
    with claimed(video.target) as missing:
        if not missing:
            return "from another run"
        with FrameFile(video.container) as frames:
            try:
                return _encode(video, frames, by, pool)
            except PipelineError as error:
                raise PipelineError(f"{video.container}: {error}") from None


def _encode(
    video: MissingVideo, frames: FrameFile, by: FileWriter, pool: ThreadPoolExecutor
) -> str:
    every = by.clips.every if by.clips else 1
    lost, time_s = frames.lost[::every], frames.time_s[::every]
    kept = np.flatnonzero(~lost)
    features = with_lost(_features(frames, kept, by, by.encoder, pool), lost)
    attributes = dict(by.attributes) | {
        "fps": frames.attributes["fps"] / every,
        "enlarged": short_side_px(frames) < by.encoder.transform.resize_px,
        "frames_fingerprint": frames.attributes["fingerprint"],
        "fingerprint": video.fingerprint,
    }
    note = f"{len(features)} {'clips' if by.clips else 'frames'}"
    if by.clips and by.clips.span > len(frames):
        note += ", all longer than the video: they repeat its first or last frame"
    if by.reference is not None:
        samples = evenly_spaced(kept, COMPARED_FRAMES)
        exact = _features(frames, samples, by, by.reference, pool)
        similar = cosine(features[samples], exact)
        attributes |= {
            "fp32_cosine_mean": float(similar.mean()),
            "fp32_cosine_min": float(similar.min()),
            "fp32_cosine_frames": len(samples),
        }
        note += f", cosine to fp32 {similar.mean():.4f}"
    stored = stored_as(features, by.dtype)
    write_features(video.target, stored, time_s, attributes, lost)
    return note


def short_side_px(frames: FrameFile) -> int:
    """The shorter side of the frames."""
    return int(min(frames.attributes["height"], frames.attributes["width"]))


def _features(
    frames: FrameFile,
    samples: NDArray[np.int64],
    by: FileWriter,
    encoder: Encoder,
    pool: ThreadPoolExecutor,
) -> NDArray[np.float32]:
    """Of these samples, which have their frames: (T, D), means over their views."""
    return mean(
        _of_view(frames, samples, by.clips, replace(encoder, transform=view), pool)
        for view in views(encoder.transform, by.tta)
    )


def _of_view(
    frames: FrameFile,
    samples: NDArray[np.int64],
    clips: Clips | None,
    encoder: Encoder,
    pool: ThreadPoolExecutor,
) -> NDArray[np.float32]:
    if clips is None:
        return encode_jpegs((frames.jpeg(sample) for sample in samples.tolist()), encoder, pool)
    return encode_clips(frames.jpeg, clips.rows(~frames.lost)[samples], encoder, pool)
