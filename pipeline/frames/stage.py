"""The frames stage: videos to data/frames/<video>.h5, through the store."""

import multiprocessing
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.clips import clips_of, read_clip
from pipeline.errors import PipelineError, VideoError
from pipeline.executors.elsewhere import done_elsewhere
from pipeline.frame_store import FrameFile
from pipeline.frames.container import Extraction, write_container
from pipeline.frames.decode import versions
from pipeline.frames.given import write_given
from pipeline.frames.images import write_images
from pipeline.frames.params import FramesParams
from pipeline.frames.recipe import recipe, write_recipe
from pipeline.given_features import are_given, table_of
from pipeline.image_tables import read_images
from pipeline.paths import FRAMES, INDEX
from pipeline.progress import Progress
from pipeline.result_store import Store, fingerprint, spread
from pipeline.runtime import RuntimeParams, cores, read_runtime
from pipeline.settings import read_section, read_value
from pipeline.tables import read_videos, write_table

# Threads that one video keeps busy without waiting for each other.
_THREADS_PER_VIDEO = 4


def run(index: Path = INDEX, output: Path = FRAMES) -> str:
    """Take the frames that are in the store, extract the others, fill the output folder.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: A video is damaged and frames.on_error is `stop`, or wholly damaged and it
            is `mask`, after all others were done; or no video is left; or the disk is full.
    """
    params, every = read_section(FramesParams, "frames"), 1
    videos = read_videos(index)
    if are_given(videos):
        return write_given(videos, params, output)
    table_of(output).unlink(missing_ok=True)
    images = read_images(index) if (index / "images.csv").is_file() else None
    if images is not None and len(images):
        return write_images(images, params, output)
    asked = {}
    if (clip := read_clip()) is not None:
        asked = {"sample_fps": str(params.rate), "clip": clip.model_dump()}
        # Stored at the rate at which samples and the frames of their clips meet.
        rate, clips = clips_of(params.rate, clip)
        params, every = params.model_copy(update={"fps": str(rate)}), clips.every
    runtime = read_runtime()
    store = Store("frames")
    extractions = _extractions(videos, params, store)
    missing = [extraction for extraction in extractions if _stored(extraction, store) is None]
    damaged = _extract(spread(missing, lambda extraction: extraction.target), runtime)
    damaged.sort(key=lambda error: error.video)
    if damaged and params.on_error != "skip":
        raise PipelineError(_report(damaged, len(videos), params))
    bad = {error.video for error in damaged}
    whole = [extraction for extraction in extractions if extraction.video not in bad]
    if not whole:
        raise PipelineError(f"No video is left.\n{_report(damaged, len(videos), params)}")
    lost, rerouted = [], 0
    for extraction in whole:
        name = _stored(extraction, store)
        assert name is not None, "an extraction that raised nothing has stored its frames"
        container = output / f"{extraction.video}.h5"
        store.fill(name, container, labels={"video": extraction.video})
        with FrameFile(container) as frames:
            rerouted += frames.attributes["decoder"] != params.decoder
            lost_samples = frames.lost[::every]
            if lost_samples.any():
                lost.append((extraction.video, int(lost_samples.sum()), len(lost_samples)))
    skipped = [(error.video, error.reason) for error in damaged]
    write_table(pd.DataFrame(skipped, columns=["video", "reason"]), output / "skipped.csv")
    write_table(pd.DataFrame(lost, columns=["video", "lost", "samples"]), output / "masked.csv")
    write_recipe(params, asked, output / "recipe.json")
    note = f", {len(damaged)} damaged videos skipped" if damaged else ""
    if lost:
        note += f", {sum(count for _, count, _ in lost)} samples of {len(lost)} videos lost"
    if rerouted:
        note += f"; PyAV read {rerouted}, where decord is missing or cannot seek reliably"
    return f"{output}: {len(whole)} videos, {len(missing) - len(damaged)} extracted{note}"


def _extractions(videos: pd.DataFrame, params: FramesParams, store: Store) -> list[Extraction]:
    """What each video needs. Which decoder reads it shows when it is opened."""
    root = Path(read_value("data.root", str))
    decoders, made_by = versions(), recipe(params)
    extractions = []
    for row in videos.itertuples():
        whole = fingerprint(content=row.sha256, recipe=made_by)
        masked = fingerprint(content=row.sha256, recipe=made_by, on_error="mask")
        extractions.append(
            Extraction(
                video=str(row.video),
                path=root / str(row.path),
                params=params,
                decoders=decoders,
                fingerprint=whole,
                target=store.path(whole),
                masked_fingerprint=masked,
                masked_target=store.path(masked),
                threads=1,
            )
        )
    return extractions


def _stored(extraction: Extraction, store: Store) -> str | None:
    """Under which fingerprint the frames of a video are in the store, if they are there."""
    if store.has(extraction.fingerprint):
        return extraction.fingerprint
    if extraction.params.on_error == "mask" and store.has(extraction.masked_fingerprint):
        return extraction.masked_fingerprint
    return None


def _extract(extractions: list[Extraction], runtime: RuntimeParams) -> list[VideoError]:
    """Extract every video, several at a time where there are cores; return the damaged ones."""
    damaged = []
    with (
        Progress("frames", len(extractions), runtime.progress) as progress,
        closing(_results(extractions, runtime, progress.say)) as results,
    ):
        for extraction, write in results:
            try:
                progress.step(extraction.video, write())
            except VideoError as error:
                damaged.append(error)
                progress.step(extraction.video, f"DAMAGED: {error.reason}")
    return damaged


def _workers(runtime: RuntimeParams) -> int:
    """Videos in flight: as many as asked for, else so many that all cores have work."""
    if runtime.workers:
        return min(runtime.workers, cores())
    return max(1, cores() // _THREADS_PER_VIDEO)


def _results(
    extractions: list[Extraction], runtime: RuntimeParams, say: Callable[[str], None]
) -> Generator[tuple[Extraction, Callable[[], str]], None, None]:
    """Each with a function that gives its result or raises its error, as they finish."""
    if runtime.executor != "local":
        needs = runtime.task.model_copy(update={"gpus": 0})
        threads = runtime.of_one_item(needs).threads
        extractions = [replace(extraction, threads=threads) for extraction in extractions]
        yield from done_elsewhere(write_container, extractions, needs, runtime, say)
        return
    workers = max(1, min(_workers(runtime), len(extractions)))
    threads = max(1, runtime.thread_count // workers)
    extractions = [replace(extraction, threads=threads) for extraction in extractions]
    if workers == 1:
        # Another process would only cost its start.
        for extraction in extractions:
            yield extraction, partial(write_container, extraction)
        return
    # Spawned, not forked: the decoders' threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures: dict[Future[str], Extraction] = {
            pool.submit(write_container, extraction): extraction for extraction in extractions
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _report(damaged: list[VideoError], total: int, params: FramesParams) -> str:
    lines = "\n".join(f"  {error}" for error in damaged)
    keep_good = "" if params.on_error == "mask" else ", or mask, which keeps what is good of them"
    what = "at all" if params.on_error == "mask" else "as a whole"
    return (
        f"{len(damaged)} of {total} videos cannot be read {what}; the others are done and "
        f"kept:\n{lines}\n"
        "Mend, replace or remove these files, or set frames.on_error: skip, which leaves them out "
        f"and says so in the report{keep_good}."
    )
