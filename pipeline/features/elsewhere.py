"""Features computed by workers of an executor, a video each."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace

import torch

from pipeline.errors import PipelineError
from pipeline.executors.elsewhere import done_elsewhere
from pipeline.features.build import Plan
from pipeline.features.devices import devices_for
from pipeline.features.fitting_batch import FittingWriter
from pipeline.features.video import MissingVideo
from pipeline.progress import Progress


@dataclass(frozen=True)
class _Item:
    """All that a worker needs.

    Attributes:
        missing: The video.
        plan: How its features are made.
    """

    missing: MissingVideo
    plan: Plan

    @property
    def name(self) -> str:
        """Its name, for messages."""
        return self.missing.container.stem


# Of the process that this module was imported by: the network that the last video went through.
_ready: tuple[Plan, FittingWriter] | None = None


def encode_elsewhere(missing: Sequence[MissingVideo], plan: Plan, note: str | None) -> None:
    """Compute what is missing on Ray or Slurm, one video per task.

    Args:
        missing: The videos.
        plan: How their features are made.
        note: A line for the terminal.

    Raises:
        PipelineError: As done_elsewhere; or some videos cannot be encoded, after all others.
    """
    runtime = plan.runtime
    needs, name, failed = runtime.task, plan.attributes["backbone"], list[str]()
    if plan.params.precision == "int8":  # whose kernels exist for processors only
        needs = needs.model_copy(update={"gpus": 0})
    plan = replace(plan, runtime=runtime.of_one_item(needs))
    items = [_Item(video, plan) for video in missing]
    with (
        Progress("features", len(missing), runtime.progress) as progress,
        closing(done_elsewhere(_write, items, needs, runtime, progress.say)) as done,
    ):
        progress.say(f"features: {name}, {plan.params.precision}, on {runtime.executor}, {needs}")
        if note:
            progress.say(f"features: {note}")
        for item, give in done:
            try:
                progress.step(item.name, give())
            except PipelineError as error:
                failed.append(str(error))
                progress.step(item.name, f"FAILED: {error}")
    if failed:
        raise PipelineError("\n".join(failed))


def _write(item: _Item) -> str:
    global _ready
    if _ready is None or _ready[0] != item.plan:
        (device,) = devices_for(item.plan.runtime, item.plan.params)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        pool = ThreadPoolExecutor(item.plan.runtime.worker_count)
        _ready = item.plan, FittingWriter(item.plan, device, pool, _to_stderr)
    return _ready[1](item.missing)


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
