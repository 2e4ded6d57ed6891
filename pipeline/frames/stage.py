"""The frames stage: videos to data/frames/<video>.h5, through the store."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import frame_store, timebase
from pipeline.errors import PipelineError, VideoError
from pipeline.frame_store import write_frames
from pipeline.frames import crop, decode, sample
from pipeline.frames.crop import Box, resize_short_side, view_box
from pipeline.frames.decode import Source, decoder_for, keyframes, open_source, read_frames
from pipeline.frames.for_backbone import write_frames_for
from pipeline.frames.params import FramesParams
from pipeline.frames.sample import sampled_frames
from pipeline.progress import Progress
from pipeline.result_store import Store, fingerprint, source_hash
from pipeline.runtime import RuntimeParams, cores, read_runtime
from pipeline.settings import read_section, read_value
from pipeline.tables import INDEX, read_videos, write_table

FRAMES = Path("data/frames")
Image = NDArray[np.uint8]
# Enough moments that one of them shows every part of the view brightly.
_BORDER_FRAMES = 32


@dataclass(frozen=True)
class Job:
    """One video to extract.

    Attributes:
        source: The video.
        params: The section `frames`.
        decoder: Name and version of what reads it.
        name: Fingerprint of the result.
        target: Where the store keeps it.
        threads: Of the decoder.
    """

    source: Source
    params: FramesParams
    decoder: tuple[str, str]
    name: str
    target: Path
    threads: int


def run(index: Path = INDEX, output: Path = FRAMES) -> str:
    """Take the frames that are in the store, extract the others, fill the output folder.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: A video is damaged and frames.on_error is `stop`, after all others were
            done; or no video is left; or the disk is full.
    """
    params = read_section(FramesParams, "frames")
    runtime = read_runtime()
    root = Path(read_value("data.root", str))
    store = Store("frames")
    damaged: list[VideoError] = []
    jobs = []
    videos = read_videos(index)
    for row in videos.itertuples():
        try:
            source = open_source(str(row.video), root / str(row.path))
        except VideoError as error:
            damaged.append(error)
            continue
        decoder = decoder_for(source, params.decoder)
        name = fingerprint(
            video=source.video,
            content=row.sha256,
            params=params.model_dump(exclude={"decoder", "on_error"}),
            decoder=decoder,
            code=source_hash(crop, decode, sample, timebase, frame_store),
        )
        jobs.append(Job(source, params, decoder, name, store.path(name), 1))
    missing = [job for job in jobs if not store.has(job.name)]
    damaged += _extract(missing, runtime)
    damaged.sort(key=lambda error: error.video)
    if damaged and params.on_error == "stop":
        raise PipelineError(_report(damaged, len(videos)))
    bad = {error.video for error in damaged}
    whole = [job for job in jobs if job.source.video not in bad]
    if not whole:
        raise PipelineError(f"No video is left.\n{_report(damaged, len(videos))}")
    for job in whole:
        store.fill(job.name, output / f"{job.source.video}.h5")
    skipped = pd.DataFrame(
        [(error.video, error.reason) for error in damaged], columns=["video", "reason"]
    )
    write_table(skipped, output / "skipped.csv")
    write_frames_for(output)
    note = f", {len(damaged)} damaged videos skipped" if damaged else ""
    rerouted = sum(job.decoder[0] != params.decoder for job in whole)
    if rerouted:
        note += f"; PyAV read {rerouted}, where decord is missing or cannot seek reliably"
    return f"{output}: {len(whole)} videos, {len(missing)} extracted{note}"


def extract(job: Job) -> int:
    """Write the frames of one video.

    Returns:
        The number of frames.

    Raises:
        VideoError: The file is damaged.
        PipelineError: The disk is full.
    """
    params, source = job.params, job.source
    timeline = source.timeline
    wanted = sampled_frames(timeline, params.rate)
    box = view_box(keyframes(source, _BORDER_FRAMES)) if params.crop_borders else None
    images = read_frames(source, job.decoder[0], wanted, job.threads)
    first, images = _peek(images)
    if box is None:
        box = Box(0, first.shape[0], 0, first.shape[1])
    height, width = resize_short_side(box.cut(first), params.short_side).shape[:2]
    attributes: dict[str, Any] = {
        "video": source.video,
        "fps": float(params.rate),
        "height": height,
        "width": width,
        "crop_box": [box.top, box.bottom, box.left, box.right],
        "quality": params.quality,
        "decoder": job.decoder[0],
        "decoder_version": job.decoder[1],
        "fingerprint": job.name,
    }
    encoded = (
        (_jpeg(resize_short_side(box.cut(image), params.short_side), params.quality), time_s)
        for image, time_s in zip(images, map(timeline.seconds, wanted.tolist()), strict=True)
    )
    return write_frames(job.target, encoded, attributes)


def _extract(jobs: list[Job], runtime: RuntimeParams) -> list[VideoError]:
    """Extract every video, several at a time where there are cores; return the damaged ones."""
    damaged = []
    workers = max(1, min(runtime.worker_count, cores(), len(jobs)))
    threads = max(1, runtime.thread_count // workers)
    # Spawned, not forked: the decoders' threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with (
        Progress("frames", len(jobs), runtime.progress) as progress,
        ProcessPoolExecutor(workers, mp_context=context) as pool,
    ):
        futures: dict[Future[int], Job] = {
            pool.submit(extract, replace(job, threads=threads)): job for job in jobs
        }
        try:
            for future in as_completed(futures):
                video = futures[future].source.video
                try:
                    progress.step(video, f"{future.result()} frames")
                except VideoError as error:
                    damaged.append(error)
                    progress.step(video, f"DAMAGED: {error.reason}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return damaged


def _peek(images: Iterator[Image]) -> tuple[Image, Iterator[Image]]:
    """The first image, and all of them again."""
    first = next(images)
    return first, chain([first], images)


def _jpeg(image: Image, quality: int) -> bytes:
    """The bytes of a JPEG file from an image (H, W, 3) RGB."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    ok, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not ok:
        raise RuntimeError(f"OpenCV could not encode an image of shape {image.shape}")
    return encoded.tobytes()


def _report(damaged: list[VideoError], total: int) -> str:
    lines = "\n".join(f"  {error}" for error in damaged)
    return (
        f"{len(damaged)} of {total} videos cannot be read as a whole; the others are done and "
        f"kept:\n{lines}\n"
        "Mend, replace or remove these files, or set frames.on_error: skip, which leaves them out "
        "and says so in the report."
    )
