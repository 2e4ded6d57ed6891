"""Several trainings at a time, by workers of an executor, into the store."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pipeline.allocator import keep_freed_memory
from pipeline.determinism import use_deterministic_kernels
from pipeline.errors import PipelineError
from pipeline.executors.elsewhere import done_elsewhere
from pipeline.networks.temporal.params import has_refinements
from pipeline.progress import Progress
from pipeline.runtime import RuntimeParams
from pipeline.settings import Section
from pipeline.task import TaskParams
from pipeline.train.members import Member, Training, trained
from pipeline.train.params import TrainParams
from pipeline.train.videos import read_videos


@dataclass(frozen=True)
class Recipe:
    """What all trainings of a stage share.

    Attributes:
        kind: Of the network.
        model: The numbers of that kind.
        params: The section `train`.
        task: The section `task`.
        folds: All that are trained.
        curves: Folder that gets a folder of curves for each training.
        runtime: Which executor, and what one training takes.
    """

    kind: str
    model: Section
    params: TrainParams
    task: TaskParams
    folds: tuple[int | None, ...]
    curves: Path
    runtime: RuntimeParams


@dataclass(frozen=True)
class Item:
    """One training, as workers are given it.

    Attributes:
        member: Which one.
        recipe: What it shares with the others.
    """

    member: Member
    recipe: Recipe

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.member)


def train_elsewhere(members: Sequence[Member], recipe: Recipe) -> set[Member]:
    """Make sure that the store holds every training.

    Returns:
        Those that it did not hold.

    Raises:
        PipelineError: As done_elsewhere; or some trainings failed, after all others.
    """
    runtime = recipe.runtime
    of_one = replace(recipe, runtime=runtime.of_one_item(runtime.task))
    items, made, failed = [Item(member, of_one) for member in members], set[Member](), list[str]()
    with (
        Progress("train", len(items), runtime.progress) as progress,
        closing(done_elsewhere(train_item, items, runtime.task, runtime, progress.say)) as done,
    ):
        for item, give in done:
            try:
                note, was_there = give()
            except PipelineError as error:
                failed.append(f"{item.member}: {error}")
                progress.step(str(item.member), f"FAILED: {error}")
            else:
                progress.step(str(item.member), note)
                if not was_there:
                    made.add(item.member)
    if failed:
        raise PipelineError("\n".join(failed))
    return made


def train_item(item: Item) -> tuple[str, bool]:
    """Train one, in a worker, into the store.

    Returns:
        A note for the terminal, and whether the store held it already.

    Raises:
        PipelineError: Videos or parameters do not allow it, or a loss is not finite.
    """
    member, recipe = item.member, item.recipe
    keep_freed_memory()
    torch.set_num_threads(recipe.runtime.thread_count)
    use_deterministic_kernels()
    refined = has_refinements(recipe.kind, recipe.model)
    videos = read_videos(recipe.task, recipe.params, member.fold, recipe.folds, refined)
    training = Training(recipe.kind, recipe.model, recipe.params, member.seed, videos)
    folder = recipe.curves / member.folder
    result, was_there = trained(training, recipe.runtime, folder, f"train {member}:")
    return f"epoch {result.best_epoch}/{len(result.history)}", was_there
