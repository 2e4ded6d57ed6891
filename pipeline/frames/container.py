"""One video to its container in the store; what a worker process does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import VideoError
from pipeline.frame_store import write_frames
from pipeline.frames.extract import SampledVideo, extract, extract_damaged
from pipeline.frames.params import FramesParams
from pipeline.result_store import claimed


@dataclass(frozen=True)
class Extraction:
    """A video whose frames are missing.

    Attributes:
        video: Identifier, for messages.
        path: The video's file.
        params: The section `frames`.
        decoders: Name and version of each that is installed.
        fingerprint: Of the frames of a video without damage.
        target: Where these go.
        masked_fingerprint: Of what is good in a damaged one.
        masked_target: Where that goes.
        threads: For decoding.
    """

    video: str
    path: Path
    params: FramesParams
    decoders: dict[str, str]
    fingerprint: str
    target: Path
    masked_fingerprint: str
    masked_target: Path
    threads: int


def write_container(extraction: Extraction) -> str:
    """Write the frames of one video, unless another process has written them meanwhile.

    Returns:
        A note for the terminal.

    Raises:
        VideoError: The file is damaged, and either all of it or frames.on_error is not `mask`.
        PipelineError: The disk is full.
    """
    with claimed(extraction.target) as missing:
        return _extracted(extraction) if missing else "from another run"


def _extracted(e: Extraction) -> str:
    try:
        sampled = extract(e.video, e.path, e.params, e.threads)
        return f"{_write(sampled, e, e.fingerprint, e.target)} frames"
    except VideoError as damage:
        if e.params.on_error != "mask":
            raise
        with claimed(e.masked_target) as missing:
            return _salvaged(e, damage) if missing else "from another run, in part"


def _salvaged(e: Extraction, damage: VideoError) -> str:
    """Write what is good of a damaged video."""
    try:
        sampled = extract_damaged(e.video, e.path, e.params, e.threads)
    except VideoError:
        raise damage from None
    count = _write(sampled, e, e.masked_fingerprint, e.masked_target)
    return f"{count - sampled.samples.lost.sum()} of {count} frames, the others are damaged"


def _write(sampled: SampledVideo, extraction: Extraction, fingerprint: str, target: Path) -> int:
    """Write a container under a fingerprint; the number of samples."""
    first = sampled.first
    attributes: dict[str, Any] = {
        "fps": float(extraction.params.rate),
        "height": first.height,
        "width": first.width,
        "crop_box": [first.box.top, first.box.bottom, first.box.left, first.box.right],
        "quality": extraction.params.quality,
        "decoder": sampled.decoder,
        "decoder_version": extraction.decoders[sampled.decoder],
        "fingerprint": fingerprint,
    }
    jpegs = (picture.jpeg for picture in sampled.pictures)
    frames = zip(jpegs, sampled.frame_times_s, strict=True)
    return write_frames(target, frames, attributes, sampled.samples)
