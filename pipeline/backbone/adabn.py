"""Batch-norm statistics estimated anew on frames of other videos, without labels."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.backbone.classifier import batch_norms
from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.backbone.loader import evaluating, load, to_device
from pipeline.networks.backbones.memory_format import images_channels_last, to_channels_last
from pipeline.networks.backbones.transform import Transform
from pipeline.progress import Progress


@torch.no_grad()
def adapt(
    network: nn.Module,
    frames: LabelledFrames,
    transform: Transform,
    batch: int,
    device: torch.device,
    workers: int,
    progress: Progress,
) -> None:
    """Replace the mean and variance of every batch norm by those of the frames (AdaBN).

    Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2016. Each batch
    is normalised with its own statistics on the way up, as in training. The results are means
    over all batches, weighted by their frames: the variance includes that between batches, and
    neither the order of the batches nor a momentum plays a part.

    Args:
        network: A backbone's; its weights stay, its statistics change.
        frames: Whose images to use.
        transform: That of evaluation.
        batch: Frames per forward pass.
        device: Where it runs.
        workers: Threads that decode.
        progress: Gets a step per batch.
    """
    to_channels_last(network.eval(), device)
    rows = mixed_batches(frames, batch)
    images_of = load(frames, rows, evaluating(transform), workers)
    with _measured(network) as sums:
        for number, images in enumerate(images_of, start=1):
            pixels = transform.normalise(to_device(images, device))
            network(images_channels_last(pixels))
            progress.step(f"batch {number}")
    for norm, (count, mean, square) in sums.items():
        assert norm.running_mean is not None and norm.running_var is not None
        mean, square = mean / count, square / count
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(square - mean**2)
    network.eval().cpu()


def mixed_batches(frames: LabelledFrames, batch: int) -> list[NDArray[np.intp]]:
    """Batches that each span all videos from start to end, and differ by one frame at most.

    Frames of one moment would be normalised by statistics of that moment. The batches depend on
    the content of the videos only, not on their names, nor on the order in which they are listed.
    """
    contents = np.array(frames.fingerprints)
    order = np.lexsort((frames.sample, contents[frames.video]))
    count = max(1, len(order) // batch)
    return [order[first::count] for first in range(count)]


def evenly_spaced(frames: LabelledFrames, per_video: int | None) -> LabelledFrames:
    """So many frames of each video, evenly spaced; all where it has no more."""
    if per_video is None:
        return frames
    chosen = []
    for video in range(len(frames.containers)):
        rows = np.flatnonzero(frames.video == video)
        if len(rows) > per_video:
            rows = rows[np.linspace(0, len(rows) - 1, per_video).round().astype(np.intp)]
        chosen.append(rows)
    return frames.take(np.concatenate(chosen or [np.zeros(0, dtype=np.intp)]))


@contextmanager
def _measured(network: nn.Module) -> Iterator[dict[_BatchNorm, list[Any]]]:
    """Sums of frames, of means and of mean squares of the input of each batch norm."""
    norms = list(batch_norms(network))
    sums: dict[_BatchNorm, list[Any]] = {norm: [0, 0.0, 0.0] for norm in norms}

    def measure(norm: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        assert isinstance(norm, _BatchNorm)
        x = inputs[0].double()
        # Over all but the channels: of an image, of a clip, or of a vector.
        axes = (0, *range(2, x.dim()))
        sums[norm][0] += len(x)
        sums[norm][1] = sums[norm][1] + len(x) * x.mean(dim=axes)
        sums[norm][2] = sums[norm][2] + len(x) * x.square().mean(dim=axes)

    handles = [norm.register_forward_pre_hook(measure) for norm in norms]
    for norm in norms:
        norm.train()
        norm.track_running_stats = False  # its own statistics are set at the end
    try:
        yield sums
    finally:
        for handle in handles:
            handle.remove()
        for norm in norms:
            norm.track_running_stats = True
