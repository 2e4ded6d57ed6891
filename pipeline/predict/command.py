"""The command `predict`: many videos, each to files of its own."""

import multiprocessing
import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from multiprocessing.queues import Queue
from pathlib import Path

from pipeline.atomic import remove_abandoned
from pipeline.bundle.opened import opened_models
from pipeline.errors import PipelineError
from pipeline.predict.container import read_container
from pipeline.predict.devices import devices_for
from pipeline.predict.inputs import find_videos
from pipeline.predict.loaded import device_of, fingerprint_of, notes_of, read_models
from pipeline.predict.outputs import is_written, made_by, write_outputs
from pipeline.predict.predictor import Predictor
from pipeline.progress import Progress
from pipeline.runtime import cores


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        models: A folder of models, or a bundle.
        out: Folder of the files.
        abstain: As in Predictor.video.
        device: As in Predictor.
        batch: As in Predictor.
        jobs: Videos at once; 0: one per GPU, on a processor one per eight cores.
    """

    models: Path
    out: Path
    abstain: float | None = None
    device: str = "auto"
    batch: int = 64
    jobs: int = 0


def predict_videos(asked: Sequence[str], request: Request) -> str:
    """Predict each video that is named, several at a time where cores or GPUs allow.

    A video whose files are there already, made from it by these models, is left as it is.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: A name means nothing, or the models cannot be used; or videos cannot be read,
            after all others were done.
    """
    videos = find_videos(asked)
    remove_abandoned(request.out)
    with opened_models(request.models) as folder:
        # What is wrong with the models is said once, and before anything is done.
        pair, recipe = read_models(folder)
        model, device = fingerprint_of(pair), device_of(request.device)
        todo = [video for video in videos if not _is_done(video, request, model)]
        if todo:
            for line in notes_of(pair, recipe, device):
                print(f"predict: {line}", file=sys.stderr)
        del pair
        failed = _predict(todo, folder, request)
    kept = len(videos) - len(todo)
    note = f", {kept} were there already" if kept else ""
    if failed:
        lines = "\n".join(f"  {line}" for line in failed)
        raise PipelineError(
            f"{len(failed)} of {len(videos)} videos failed; the others are in {request.out}{note}:"
            f"\n{lines}"
        )
    return f"{request.out}: {len(videos)} videos, {len(todo)} predicted{note}"


def _is_done(video: Path, request: Request, model: str) -> bool:
    # Reading a video for its hash takes a second per gigabyte; most often it is not needed.
    if not (request.out / video.name).with_suffix(".json").is_file():
        return False
    return is_written(video, request.out, made_by(video, model, request.abstain))


def _predict(videos: Sequence[Path], folder: Path, request: Request) -> list[str]:
    """Predict these videos; a line for each that failed."""
    seconds = {video: read_container(video).duration_s for video in videos}
    total_s, done_s = max(sum(seconds.values()), 1e-9), 0.0
    failed = []
    with Progress("predict", len(videos)) as progress:

        def progressed(video: Path, done: int, of: int) -> None:
            share = done / of
            left = 1 - (done_s + share * seconds[video]) / total_s
            progress.part(video.stem, share, left)

        with closing(_results(videos, folder, request, progressed)) as results:
            for video, result in results:
                try:
                    warnings = result()
                except PipelineError as error:
                    failed.append(str(error))
                    progress.step(video.stem, f"FAILED: {error}")
                else:
                    progress.step(video.stem, f"{len(warnings)} warnings" if warnings else "")
                    for line in warnings:
                        progress.say(f"predict: {video.stem}: {line}")
                done_s += seconds[video]
    return failed


def _results(
    videos: Sequence[Path],
    folder: Path,
    request: Request,
    progressed: Callable[[Path, int, int], None],
) -> Generator[tuple[Path, Callable[[], tuple[str, ...]]], None, None]:
    """Each video with a function that gives its warnings or raises its error, as they finish."""
    devices = devices_for(request.device, request.jobs)[: len(videos)]
    if len(devices) <= 1:
        # Another process would only cost its start.
        if videos:
            with Predictor(folder, request.device, request.batch) as predictor:
                for video in videos:
                    report = partial(progressed, video)
                    yield video, partial(_write, predictor, video, request, report)
        return
    context = multiprocessing.get_context("spawn")  # neither decoders nor CUDA survive a fork
    free: Queue[str] = context.Queue()
    for device in devices:
        free.put(device)
    threads = max(1, cores() // len(devices))
    with ProcessPoolExecutor(
        len(devices),
        mp_context=context,
        initializer=_start,
        initargs=(folder, request.batch, threads, free),
    ) as pool:
        futures: dict[Future[tuple[str, ...]], Path] = {
            pool.submit(_write_here, video, request): video for video in videos
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


# Of a process that _results started: how its predictor is made, and the predictor.
_recipe: Callable[[], Predictor] | None = None
_predictor: Predictor | None = None


def _start(folder: Path, batch: int, threads: int, free: "Queue[str]") -> None:
    """Take a device that no other process has."""
    global _recipe
    _recipe = partial(Predictor, folder, free.get(), batch, threads)


def _write_here(video: Path, request: Request) -> tuple[str, ...]:
    global _predictor
    assert _recipe is not None
    if _predictor is None:
        # Not in _start: the pool would break there without a word of what went wrong.
        _predictor = _recipe()
    return _write(_predictor, video, request)


def _write(
    predictor: Predictor,
    video: Path,
    request: Request,
    progressed: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[str, ...]:
    """Predict a video and write its files; the warnings."""
    prediction = predictor.video(video, request.abstain, progressed)
    by = made_by(video, predictor.fingerprint, request.abstain)
    write_outputs(prediction, video, request.out, by)
    return prediction.warnings
