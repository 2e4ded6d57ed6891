"""The command `predict`: many videos, each to files of its own."""

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.queues import Queue
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.atomic import remove_abandoned
from pipeline.bundle.opened import opened_models
from pipeline.errors import PipelineError
from pipeline.executors.elsewhere import done_elsewhere
from pipeline.predict import answer_files
from pipeline.predict.at_once import results_at_once
from pipeline.predict.cluster import of_options
from pipeline.predict.container import read_container
from pipeline.predict.devices import devices_for
from pipeline.predict.image_command import only_here, predict_images
from pipeline.predict.inputs import find_videos
from pipeline.predict.loaded import device_of, fingerprint_of, notes_of, read_models
from pipeline.predict.outputs import ENDINGS, is_written, made_by, write_outputs
from pipeline.predict.prediction import check_abstention
from pipeline.predict.predictor import Predictor
from pipeline.progress import Progress
from pipeline.runtime import RuntimeParams

if TYPE_CHECKING:
    import torch


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
        runtime: Which executor does the videos, where, and what each takes.
    """

    models: Path
    out: Path
    abstain: float | None = None
    device: str = "auto"
    batch: int = 64
    jobs: int = 0
    runtime: RuntimeParams = field(default_factory=RuntimeParams)


def predict_videos(asked: Sequence[str], request: Request) -> str:
    """Predict each video that is named, several at a time where cores or GPUs allow.

    A video whose files are there already, made from it by these models, is left as it is. Models of
    single images predict images instead, all into one table.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: A name means nothing, or the models cannot be used; or videos cannot be read,
            after all others were done; or as done_elsewhere.
    """
    if request.runtime.executor != "local":
        # A worker has the GPU that is reserved for it, whatever this machine has.
        one = request.runtime.of_one_item(request.runtime.task)
        request = replace(request, device=one.device)
    remove_abandoned(request.out)
    with opened_models(request.models) as folder:
        # What is wrong with the models is said once, and before anything is done.
        models = read_models(folder)
        check_abstention(request.abstain, models.header)
        if models.of_images:
            only_here(request.runtime)
            by = Predictor(folder, request.device, request.batch)
            return predict_images(asked, by, request.out, request.abstain)
        videos = find_videos(asked)
        model, device = fingerprint_of(models), _device(request)
        endings = answer_files.ENDINGS if models.of_videos else ENDINGS
        todo = [video for video in videos if not _is_done(video, request, model, endings)]
        if todo:
            for line in notes_of(models, device):
                print(f"predict: {line}", file=sys.stderr)
        del models
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


def _device(request: Request) -> "torch.device":
    """The first one; that of a worker is looked for where the worker is."""
    import torch

    if request.runtime.executor == "local":
        return device_of(request.device)
    return torch.device(request.device)


def _is_done(video: Path, request: Request, model: str, endings: Sequence[str]) -> bool:
    # Reading a video for its hash takes a second per gigabyte; most often it is not needed.
    if not (request.out / video.name).with_suffix(".json").is_file():
        return False
    return is_written(video, request.out, made_by(video, model, request.abstain), endings)


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

        with closing(_results(videos, folder, request, progressed, progress.say)) as results:
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
    say: Callable[[str], None],
) -> Generator[tuple[Path, Callable[[], tuple[str, ...]]], None, None]:
    """Each video with a function that gives its warnings or raises its error, as they finish."""
    if request.runtime.executor != "local":
        away, runtime = partial(_write_elsewhere, request=request), request.runtime
        if videos:
            try:
                yield from done_elsewhere(away, videos, runtime.task, runtime, say)
            except PipelineError as error:
                raise of_options(error) from None
        return
    devices = devices_for(request.device, request.jobs)[: len(videos)]
    if len(devices) <= 1:
        # Another process would only cost its start.
        if videos:
            with Predictor(folder, request.device, request.batch) as predictor:
                for video in videos:
                    report = partial(progressed, video)
                    yield video, partial(_write, predictor, video, request, report)
        return
    work = partial(_write_here, request=request)
    start = partial(_start, folder, request.batch)
    yield from results_at_once(work, start, videos, devices, say)


# Of a process that _results or an executor started: how its predictor is made, and the predictor.
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


def _write_elsewhere(video: Path, request: Request) -> tuple[str, ...]:
    """In a worker of an executor, whose predictor stays for the next video.

    It opens the models by itself: what the driver unpacked of a bundle is on the driver's disk.
    """
    global _recipe
    if _recipe is None:
        threads = request.runtime.of_one_item(request.runtime.task).threads
        _recipe = partial(Predictor, request.models, request.device, request.batch, threads)
    return _write_here(video, request)


def _write(
    predictor: Predictor,
    video: Path,
    request: Request,
    progressed: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[str, ...]:
    """Predict a video and write its files; the warnings."""
    by = made_by(video, predictor.fingerprint, request.abstain)
    if predictor.of_videos:
        answer = predictor.answer(video, request.abstain, progressed)
        answer_files.write_answer(answer, video, request.out, by)
        return answer.warnings
    prediction = predictor.video(video, request.abstain, progressed)
    write_outputs(prediction, video, request.out, by)
    return prediction.warnings
