"""Which video is for training, validation and test."""

import random
import re

from pipeline.errors import PipelineError
from pipeline.index.folds import draw_folds
from pipeline.index.layouts.dataset import Dataset
from pipeline.index.params import SplitParams
from pipeline.seeding import derived_seed
from pipeline.tables import SPLITS

# Last video of train, of val and of test, as the protocols are published.
_PROTOCOLS = {
    "cholec80-40-40": (40, 40, 80),
    "cholec80-32-8-40": (32, 40, 80),
    "cholec80-40-8-32": (40, 48, 80),
}


def splits_of(params: SplitParams, dataset: Dataset, seed: int) -> dict[int | None, dict[str, str]]:
    """The split of each video by fold, from 1; under None where it is a single split.

    Raises:
        PipelineError: As split_videos and draw_folds.
    """
    if not params.cross_validates:
        return {None: split_videos(params, dataset, seed)}
    folds = draw_folds(params, dataset, seed)
    if params.fold is not None:
        return {None: folds[params.fold - 1]}
    return dict(enumerate(folds, start=1))


def split_videos(params: SplitParams, dataset: Dataset, seed: int) -> dict[str, str]:
    """The split of each video, where there are no folds; videos in none of them are left out.

    Raises:
        PipelineError: A list names an unknown video, the table has no column `split`, or train or
            test would be empty.
    """
    videos = sorted(dataset.paths)
    if params.scheme == "column":
        if dataset.split is None:
            raise PipelineError(
                "params.yaml: split.scheme: found column, but the labels table has no column "
                "`split`, or images no folders train, val and test. Add it, or set split.scheme "
                "to lists or random."
            )
        splits = dataset.split
    elif params.scheme == "lists":
        splits = _listed(params, videos)
    elif params.scheme == "random":
        splits = _drawn(params, videos, seed)
    elif params.scheme == "bundles":
        splits = _bundled(params, dataset, seed)
    else:
        splits = _protocol(params.scheme, videos)
    what = "image" if dataset.are_images else "video"
    for needed in ("train", "test"):
        if needed not in splits.values():
            raise PipelineError(
                f"split.scheme {params.scheme}: no {what} in {needed}. Found "
                f"{', '.join(videos[:8])}{', ...' if len(videos) > 8 else ''}."
            )
    return {video: splits[video] for video in videos if video in splits}


def _listed(params: SplitParams, videos: list[str]) -> dict[str, str]:
    splits = {video: split for split in SPLITS for video in getattr(params, split)}
    unknown = sorted(set(splits) - set(videos))
    if unknown:
        raise PipelineError(
            f"params.yaml: split: {', '.join(unknown)} not among the videos of data.root "
            f"({', '.join(videos[:8])}{', ...' if len(videos) > 8 else ''})."
        )
    return splits


def _drawn(params: SplitParams, videos: list[str], seed: int) -> dict[str, str]:
    """At least one video for test, and for val where its share is not 0."""
    order = videos.copy()
    random.Random(derived_seed(seed, "split")).shuffle(order)
    tests = max(1, round(len(order) * params.test_share))
    vals = max(1, round(len(order) * params.val_share)) if params.val_share else 0
    return {
        video: "test" if drawn < tests else "val" if drawn < tests + vals else "train"
        for drawn, video in enumerate(order)
    }


def _bundled(params: SplitParams, dataset: Dataset, seed: int) -> dict[str, str]:
    """A published split, with validation videos drawn from those of its training."""
    if params.bundle not in dataset.bundles:
        found = ", ".join(str(number) for number in sorted(dataset.bundles)) or "none"
        raise PipelineError(
            f"params.yaml: split.bundle: found {params.bundle}. Allowed, by the files of splits/: "
            f"{found}. Other data sets have no bundles; set split.scheme to lists or random."
        )
    splits = dict(dataset.bundles[params.bundle])
    training = sorted(video for video, split in splits.items() if split == "train")
    random.Random(derived_seed(seed, "split")).shuffle(training)
    vals = max(1, round(len(training) * params.val_share)) if params.val_share else 0
    return splits | {video: "val" for video in training[:vals]}


def _protocol(scheme: str, videos: list[str]) -> dict[str, str]:
    last_train, last_val, last_test = _PROTOCOLS[scheme]
    splits = {}
    for video in videos:
        found = re.fullmatch(r"\D*0*(\d+)", video)
        if found is None or not 1 <= int(found[1]) <= last_test:
            raise PipelineError(
                f"split.scheme {scheme} is for video01 to video80; found {video}. Use lists."
            )
        number = int(found[1])
        splits[video] = "train" if number <= last_train else "val" if number <= last_val else "test"
    return splits
