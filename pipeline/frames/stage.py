"""The frames stage: videos to data/frames/<video>.h5, through the store."""

import multiprocessing
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline import frame_store, timebase
from pipeline.code_identity import code_hash
from pipeline.errors import PipelineError, VideoError
from pipeline.frame_store import FrameFile
from pipeline.frames import crop, decode, lanes, packets, picture, plan, sample, source
from pipeline.frames import extract as extraction
from pipeline.frames.decode import versions
from pipeline.frames.extract import Job, extract
from pipeline.frames.for_backbone import write_frames_for
from pipeline.frames.params import FramesParams
from pipeline.progress import Progress
from pipeline.result_store import Store, fingerprint
from pipeline.runtime import RuntimeParams, cores, read_runtime
from pipeline.settings import read_section, read_value
from pipeline.tables import INDEX, read_videos, write_table

FRAMES = Path("data/frames")
# What decides the bytes of a container.
_CODE = (
    *(extraction, source, packets, plan, decode, lanes, sample, crop, picture),
    *(timebase, frame_store),
)
# Threads that one video keeps busy without waiting for each other.
_THREADS_PER_VIDEO = 4


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
    decoders = versions()
    code = code_hash(*_CODE)
    jobs = []
    videos = read_videos(index)
    for row in videos.itertuples():
        # Which decoder reads a file follows from these and the file, which is opened only when
        # it must be read.
        name = fingerprint(
            video=str(row.video),
            content=row.sha256,
            params=params.model_dump(exclude={"on_error"}),
            decoders=decoders if params.decoder == "decord" else {"pyav": decoders["pyav"]},
            code=code,
        )
        path = root / str(row.path)
        jobs.append(Job(str(row.video), path, params, decoders, name, store.path(name), 1))
    missing = [job for job in jobs if not store.has(job.name)]
    damaged = _extract(missing, runtime)
    extracted = len(missing) - len(damaged)
    damaged.sort(key=lambda error: error.video)
    if damaged and params.on_error == "stop":
        raise PipelineError(_report(damaged, len(videos)))
    bad = {error.video for error in damaged}
    whole = [job for job in jobs if job.video not in bad]
    if not whole:
        raise PipelineError(f"No video is left.\n{_report(damaged, len(videos))}")
    for job in whole:
        store.fill(job.name, output / f"{job.video}.h5")
    skipped = pd.DataFrame(
        [(error.video, error.reason) for error in damaged], columns=["video", "reason"]
    )
    write_table(skipped, output / "skipped.csv")
    write_frames_for(output)
    note = f", {len(damaged)} damaged videos skipped" if damaged else ""
    rerouted = sum(_decoder_of(output / f"{job.video}.h5") != params.decoder for job in whole)
    if rerouted:
        note += f"; PyAV read {rerouted}, where decord is missing or cannot seek reliably"
    return f"{output}: {len(whole)} videos, {extracted} extracted{note}"


def _extract(jobs: list[Job], runtime: RuntimeParams) -> list[VideoError]:
    """Extract every video, several at a time where there are cores; return the damaged ones."""
    damaged = []
    workers = max(1, min(_workers(runtime), len(jobs)))
    threads = max(1, runtime.thread_count // workers)
    jobs = [replace(job, threads=threads) for job in jobs]
    with (
        Progress("frames", len(jobs), runtime.progress) as progress,
        closing(_results(jobs, workers)) as results,
    ):
        for job, work in results:
            try:
                progress.step(job.video, f"{work()} frames")
            except VideoError as error:
                damaged.append(error)
                progress.step(job.video, f"DAMAGED: {error.reason}")
    return damaged


def _workers(runtime: RuntimeParams) -> int:
    """Videos in flight: as many as asked for, else so many that all cores have work."""
    if runtime.workers:
        return min(runtime.workers, cores())
    return max(1, cores() // _THREADS_PER_VIDEO)


def _results(jobs: list[Job], workers: int) -> Generator[tuple[Job, Callable[[], int]], None, None]:
    """Each job with a function that gives its result or raises its error, as they finish."""
    if workers == 1:
        # Another process would only cost its start.
        for job in jobs:
            yield job, partial(extract, job)
        return
    # Spawned, not forked: the decoders' threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures: dict[Future[int], Job] = {pool.submit(extract, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _decoder_of(path: Path) -> str:
    with FrameFile(path) as frames:
        return str(frames.attributes["decoder"])


def _report(damaged: list[VideoError], total: int) -> str:
    lines = "\n".join(f"  {error}" for error in damaged)
    return (
        f"{len(damaged)} of {total} videos cannot be read as a whole; the others are done and "
        f"kept:\n{lines}\n"
        "Mend, replace or remove these files, or set frames.on_error: skip, which leaves them out "
        "and says so in the report."
    )
