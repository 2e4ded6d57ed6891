"""One video to its container of frames. What a worker process imports, so nothing that is slow."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.frame_store import write_frames
from pipeline.frames.crop import view_box
from pipeline.frames.decode import decoder_for, read_decord, read_frames
from pipeline.frames.keyframes import keyframes
from pipeline.frames.params import FramesParams
from pipeline.frames.picture import FrameConverter, Picture, picture_of
from pipeline.frames.sample import sampled_frames
from pipeline.frames.source import open_source

# Enough moments that one of them shows every part of the view brightly.
_BORDER_FRAMES = 32


@dataclass(frozen=True)
class Job:
    """One video to extract.

    Attributes:
        video: Identifier.
        path: The video's file.
        params: The section `frames`.
        decoders: Name and version of each that is installed.
        name: Fingerprint of the result.
        target: Where the store keeps it.
        threads: For decoding.
    """

    video: str
    path: Path
    params: FramesParams
    decoders: dict[str, str]
    name: str
    target: Path
    threads: int


def extract(job: Job) -> int:
    """Write the frames of one video.

    Returns:
        The number of frames.

    Raises:
        VideoError: The file is damaged.
        PipelineError: The disk is full.
    """
    params = job.params
    source = open_source(job.video, job.path)
    sampled = sampled_frames(source.timeline, params.rate)
    decoder = decoder_for(source, params.decoder)
    box = view_box(keyframes(source, _BORDER_FRAMES)) if params.crop_borders else None
    # A frame that is shown for longer than 1 / fps is decoded once and kept several times.
    frames, repeats = np.unique(sampled, return_counts=True)
    pictures: Iterator[Picture]
    if decoder == "decord":
        images = read_decord(source, frames, job.threads)
        pictures = (picture_of(image, box, params.short_side, params.quality) for image in images)
    else:
        pictures = read_frames(
            source,
            frames,
            job.threads,
            lambda: FrameConverter(box, params.short_side, params.quality),
        )
    first, pictures = _peek(pictures)
    attributes: dict[str, Any] = {
        "video": source.video,
        "fps": float(params.rate),
        "height": first.height,
        "width": first.width,
        "crop_box": [first.box.top, first.box.bottom, first.box.left, first.box.right],
        "quality": params.quality,
        "decoder": decoder,
        "decoder_version": job.decoders[decoder],
        "fingerprint": job.name,
    }
    samples = (
        (picture.jpeg, source.timeline.seconds(frame))
        for picture, frame, times in zip(pictures, frames.tolist(), repeats.tolist(), strict=True)
        for _ in range(times)
    )
    return write_frames(job.target, samples, attributes)


def _peek(pictures: Iterator[Picture]) -> tuple[Picture, Iterator[Picture]]:
    """The first picture, and all of them again."""
    first = next(pictures)
    return first, chain([first], pictures)
