"""One video to its sampled frames: files in, JPEGs out, nothing written.

What a worker process imports, so nothing that is slow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from pipeline.errors import VideoError
from pipeline.frame_store import Samples
from pipeline.frames.crop import Box, view_box
from pipeline.frames.decode import decoder_for, read_decord, read_frames
from pipeline.frames.keyframes import keyframes
from pipeline.frames.params import FramesParams
from pipeline.frames.picture import FrameConverter, Picture, picture_of
from pipeline.frames.salvage import good_frames, read_good
from pipeline.frames.sample import sample_times, sampled_frames
from pipeline.frames.source import Source, open_source

# Enough moments that one of them shows every part of the view brightly.
_BORDER_FRAMES = 32


@dataclass(frozen=True)
class SampledVideo:
    """The frames of a video that its samples need.

    Attributes:
        first: The first picture, so that its size is known.
        pictures: All F of them, decoded as they are asked for; can be gone through once.
        frame_times_s: (F,) when the video shows each.
        samples: Which of them make each sample.
        decoder: Which one reads them, pyav or decord.
    """

    first: Picture
    pictures: Iterator[Picture]
    frame_times_s: tuple[float, ...]
    samples: Samples
    decoder: str


def extract(video: str, path: Path, params: FramesParams, threads: int) -> SampledVideo:
    """The frames shown at k / fps.

    Args:
        video: Identifier, for messages.
        path: The video's file.
        params: Which frames, and how they are kept.
        threads: For decoding.

    Raises:
        VideoError: The file is damaged; perhaps only when the pictures are gone through.
    """
    source = open_source(video, path)
    sampled = sampled_frames(source.timeline, params.rate)
    decoder = decoder_for(source, params.decoder)
    box = view_box(keyframes(source, _BORDER_FRAMES)) if params.crop_borders else None
    # A frame that is shown for longer than 1 / fps is decoded and kept once.
    frames, rows = np.unique(sampled, return_inverse=True)
    pictures: Iterator[Picture]
    if decoder == "decord":
        images = read_decord(source, frames, threads)
        pictures = (picture_of(image, box, params.short_side, params.quality) for image in images)
    else:
        pictures = read_frames(source, frames, threads, lambda: _converter(params, box))
    times = sample_times(source.timeline, sampled, params.rate)
    samples = Samples(rows.astype(np.int64)[:, None], times)
    return _sampled(source, frames.tolist(), pictures, samples, decoder)


def extract_damaged(video: str, path: Path, params: FramesParams, threads: int) -> SampledVideo:
    """What is good of the frames shown at k / fps in a damaged video, the others marked as lost.

    A file that is cut off has samples up to the length that its container promises. PyAV decodes
    everything, twice: to see what is good, and to keep it.

    Args:
        video: Identifier, for messages.
        path: The video's file.
        params: Which frames, and how they are kept.
        threads: For decoding.

    Raises:
        VideoError: None of these frames is good.
    """
    source = open_source(video, path, whole=False)
    sampled = sampled_frames(source.timeline, params.rate)
    kept = good_frames(source, threads)[sampled]
    if not kept.any():
        raise VideoError(
            video, f"{path}: none of its {len(sampled)} sampled frames decodes as it should."
        )
    box = None
    if params.crop_borders:
        box = view_box(keyframes(source, _BORDER_FRAMES, past_errors=True))
    frames, rows = np.unique(sampled[kept], return_inverse=True)
    index = np.full((len(sampled), 1), -1, dtype=np.int64)
    index[kept, 0] = rows
    pictures = read_good(source, frames, threads, _converter(params, box))
    samples = Samples(index, sample_times(source.timeline, sampled, params.rate))
    return _sampled(source, frames.tolist(), pictures, samples, "pyav")


def _converter(params: FramesParams, box: Box | None) -> FrameConverter:
    return FrameConverter(box, params.short_side, params.quality)


def _sampled(
    source: Source, frames: list[int], pictures: Iterator[Picture], samples: Samples, decoder: str
) -> SampledVideo:
    first = next(pictures)
    times = tuple(source.timeline.seconds(frame) for frame in frames)
    return SampledVideo(first, chain([first], pictures), times, samples, decoder)
