"""The folds of a cross-validation: each video is a test video in one of them."""

import random
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pipeline.errors import PipelineError
from pipeline.index.layouts.dataset import Dataset
from pipeline.index.params import SplitParams
from pipeline.seeding import derived_seed


def draw_folds(params: SplitParams, dataset: Dataset, seed: int) -> list[dict[str, str]]:
    """The split of each video in each fold, videos by name.

    Test videos are drawn by scikit-learn; KFold and GroupKFold make folds of nearly equal numbers
    of videos and of groups. Of what a fold leaves, the share `val_share` of the groups (of the
    videos, where there is no group) is for validation: one at least, none where the share is 0.
    Names of videos decide the order in which they are drawn, that of the files does not.

    Raises:
        PipelineError: A column is unknown or a video has no value in it, there are fewer groups or
            videos than folds, or a fold has nothing to train on.
    """
    videos = sorted(dataset.paths)
    groups = _column(dataset, "group", params.group, videos) if params.group else videos
    strata = _column(dataset, "stratify", params.stratify, videos) if params.stratify else None
    _check_enough(params, groups, strata)
    folds = []
    for number, tests in enumerate(_tests(params, groups, strata, seed), start=1):
        tested = {groups[row] for row in tests}
        left = sorted(set(groups) - tested)
        validating = _drawn(left, params.val_share, derived_seed(seed, "validation", number))
        folds.append(
            {
                video: "test" if group in tested else "val" if group in validating else "train"
                for video, group in zip(videos, groups, strict=True)
            }
        )
        if not tested:
            raise PipelineError(
                f"split.scheme {params.scheme}: fold {number} has no test video: the groups of "
                f"{params.group} cannot spread {params.stratify} over {params.folds} folds. Set "
                "split.stratify: null, or fewer folds."
            )
        if "train" not in folds[-1].values():
            raise PipelineError(
                f"split.scheme {params.scheme}: fold {number} leaves nothing to train on: "
                f"{len(left)} of {len(set(groups))} {_things(params)} are left, and validation "
                "takes them. Set split.val_share: 0 and train.early_stop: 0, or make other folds."
            )
    return folds


def _tests(
    params: SplitParams, groups: Sequence[str], strata: Sequence[str] | None, seed: int
) -> list[Sequence[int]]:
    """The rows of the test videos of each fold."""
    # scikit-learn takes a second to load, which other schemes need not wait for.
    from sklearn.model_selection import (
        GroupKFold,
        KFold,
        LeaveOneGroupOut,
        StratifiedGroupKFold,
        StratifiedKFold,
    )

    if params.scheme == "leave_one_group_out":
        return [tests for _, tests in LeaveOneGroupOut().split(groups, groups=groups)]
    kinds: dict[tuple[bool, bool], Any] = {
        (False, False): KFold,
        (True, False): GroupKFold,
        (False, True): StratifiedKFold,
        (True, True): StratifiedGroupKFold,
    }
    kind = kinds[params.group is not None, strata is not None]
    splitter = kind(params.folds, shuffle=True, random_state=derived_seed(seed, "folds"))
    grouped = groups if params.group else None
    with warnings.catch_warnings():
        # A value that fewer videos have than there are folds: docs/cross_validation.md says it.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return [tests for _, tests in splitter.split(groups, strata, grouped)]


def _drawn(groups: list[str], share: float, seed: int) -> set[str]:
    if not share:
        return set()
    return set(random.Random(seed).sample(groups, max(1, round(share * len(groups)))))


def _column(dataset: Dataset, key: str, name: str | None, videos: Sequence[str]) -> list[str]:
    """The value of each video in a column that the layout tells."""
    if name not in dataset.columns:
        raise PipelineError(
            f"params.yaml: split.{key}: found {name}. Allowed: a column that data.layout adds to "
            f"data/index/videos.csv: {', '.join(dataset.columns) or 'this one adds none'}."
        )
    values = [str(dataset.columns[name].get(video, "")) for video in videos]
    without = [video for video, value in zip(videos, values, strict=True) if not value]
    if without:
        raise PipelineError(
            f"params.yaml: split.{key}: {name} has no value for {', '.join(without[:8])}"
            f"{', ...' if len(without) > 8 else ''}. Give each video one, or set split.{key}: null."
        )
    return values


def _check_enough(params: SplitParams, groups: Sequence[str], strata: Sequence[str] | None) -> None:
    kinds = len(set(groups))
    if params.scheme == "leave_one_group_out":
        if kinds < 2:
            raise PipelineError(
                f"params.yaml: split.group: {params.group} has one value, {groups[0]}; two at "
                "least are needed to leave one out."
            )
        if params.fold is not None and params.fold > kinds:
            raise PipelineError(
                f"params.yaml: split.fold: found {params.fold}, but {params.group} has {kinds} "
                f"values. Allowed: null, 1 to {kinds}."
            )
    elif params.folds > kinds:
        raise PipelineError(
            f"params.yaml: split.folds: found {params.folds}, but there are {kinds} "
            f"{_things(params)}. Allowed: 2 to {kinds}."
        )
    if strata is not None and max(Counter(strata).values()) < params.folds:
        raise PipelineError(
            f"params.yaml: split.stratify: no value of {params.stratify} is that of "
            f"{params.folds} videos, as many as there are folds. Set split.stratify: null, or "
            "fewer folds."
        )


def _things(params: SplitParams) -> str:
    return f"values of {params.group}" if params.group else "videos"
