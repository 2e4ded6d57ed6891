"""Videos in batches: which ones together, in which order, padded to the longest."""

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from pipeline.networks.temporal.standardise import Standardise
from pipeline.seeding import derived_seed
from pipeline.train.augment import Variant, augment
from pipeline.train.resident import OnDevice
from pipeline.training.cross_entropy import UNLABELLED

if TYPE_CHECKING:  # where features and labels are read from decides no weight
    from pipeline.sequences import Sequence as Video
    from pipeline.train.params import TrainParams

# How far a bucket looks beyond the exact length, as a factor: so that neighbours change.
_JITTER = 0.1


def batches(
    videos: Sequence["Video | OnDevice"],
    params: "TrainParams",
    standardise: Standardise,
    seed: int,
    epoch: int,
) -> Iterator[list["Video | Variant | OnDevice"]]:
    """The training videos of an epoch, so many at once, and each as augmentation has it.

    Args:
        videos: All of them. What is drawn belongs to their places, not to their names.
        params: The section `train`.
        standardise: Mean and standard deviation of the features, for augmentation.
        seed: Of the whole training.
        epoch: From 1.
    """
    lengths = [len(video) for video in videos]
    drawn = derived_seed(seed, "order", epoch)
    mean, std = standardise.mean.cpu().numpy(), standardise.std.cpu().numpy()

    def seen(number: int) -> "Video | Variant | OnDevice":
        video = videos[number]
        if not params.augment.varies or isinstance(video, OnDevice):
            return video
        own = derived_seed(seed, "augment", epoch, number)
        return augment(video, own, params.augment, mean, std)

    together = bucketed if params.buckets and params.batch > 1 else shuffled
    order = list(together(lengths, params.batch, drawn))
    for batch, following in zip(order, [*order[1:], []], strict=True):
        for number in following:
            videos[number].prefetch()
        yield [seen(number) for number in batch]


def shuffled(lengths: Sequence[int], batch: int, seed: int) -> Iterator[list[int]]:
    """All numbers of videos in an order drawn from the seed, so many at once."""
    order = list(range(len(lengths)))
    random.Random(seed).shuffle(order)
    for first in range(0, len(order), batch):
        yield order[first : first + batch]


def bucketed(lengths: Sequence[int], batch: int, seed: int) -> Iterator[list[int]]:
    """Numbers of videos of similar length together, the batches in an order drawn from the seed.

    Lengths are compared within 10 %, drawn anew, so that a video does not meet the same ones in
    each epoch.
    """
    draw = random.Random(seed)
    jittered = [length * draw.uniform(1 - _JITTER, 1 + _JITTER) for length in lengths]
    order = sorted(range(len(lengths)), key=jittered.__getitem__)
    cut = [order[first : first + batch] for first in range(0, len(order), batch)]
    draw.shuffle(cut)
    yield from cut


def collate(
    videos: Sequence["Video | Variant | OnDevice"], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Videos padded to the longest: features (B, T, D), labels (B, T) with -1, mask (B, T).

    Features are float32; those of a single video are as they are stored, which spares a copy:
    every network begins by standardising them in float32.
    """
    longest = max(len(video) for video in videos)
    labels = torch.full((len(videos), longest), UNLABELLED, dtype=torch.int64)
    mask = torch.zeros(len(videos), longest, dtype=torch.bool)
    for row, video in enumerate(videos):
        labels[row, : len(video)] = torch.from_numpy(video.labels)
        mask[row, : len(video)] = True
    # float16 becomes float32 on the device.
    stored = [torch.as_tensor(video.features).to(device) for video in videos]
    if len(stored) == 1:
        return stored[0][None], labels.to(device), mask.to(device)
    features = torch.zeros(len(videos), longest, stored[0].shape[1], device=device)
    for row, rows in enumerate(stored):
        features[row, : len(rows)] = rows
    return features, labels.to(device), mask.to(device)
