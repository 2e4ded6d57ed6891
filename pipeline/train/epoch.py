"""One pass over the training videos, and one over the validation videos."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.networks.temporal.contract import State, TemporalModule
from pipeline.train.batches import collate
from pipeline.training.cross_entropy import UNLABELLED
from pipeline.training.history import Epoch, validated
from pipeline.training.optimizers import step

if TYPE_CHECKING:
    from pipeline.sequences import Sequence as Video
    from pipeline.train.augment import Variant
    from pipeline.train.params import TrainParams
    from pipeline.train.resident import OnDevice
    from pipeline.training.loss import Loss

# Padded to the longest. A processor is quicker with one recurrent video at a time.
_VALIDATED_AT_ONCE = {"cpu": 1, "cuda": 16}


def train_epoch(
    network: TemporalModule,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[list["Video | Variant | OnDevice"]],
    loss_of: "Loss",
    params: "TrainParams",
) -> float:
    """One step for every `params.accumulate` windows with labels; the mean of their losses.

    Args:
        network: What is trained.
        optimizer: Of the network's parameters.
        batches: Videos of the epoch.
        loss_of: Its class weights lie on the device.
        params: The section `train`.
    """
    network.train()
    device = loss_of.class_weights.device
    losses = []
    passes = 0
    for videos in batches:
        features, labels, mask = collate(videos, device)
        window = params.window or features.shape[1]
        carried: State | None = None
        for start in range(0, features.shape[1], window):
            part = slice(start, start + window)
            target, frames = labels[:, part], mask[:, part]
            # Without labels there is nothing to learn, but the state goes on.
            learns = bool((target != UNLABELLED).any())
            with torch.set_grad_enabled(learns), autocast(params, device):
                outputs = network(features[:, part], frames, carried)
            carried = detached(outputs.state)
            if not learns:
                continue
            loss = loss_of(outputs.logits, target)
            extra = network.extra_loss(outputs, target, frames)
            if extra is not None:
                loss = loss + extra
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            passes += 1
            if passes == params.accumulate:
                step(optimizer, passes, params.clip_norm)
                passes = 0
    if passes:  # fewer are left at the end; their mean counts like any other
        step(optimizer, passes, params.clip_norm)
    return torch.stack(losses).mean().item()


@torch.inference_mode()
def validate(
    network: TemporalModule,
    validation: Sequence["Video | OnDevice"],
    loss_of: "Loss",
    params: "TrainParams",
    row: Epoch,
) -> Epoch:
    """The row with loss, accuracy and macro F1 of the validation videos."""
    network.eval()
    device = loss_of.class_weights.device
    losses, prediction = [], []
    at_once = _VALIDATED_AT_ONCE[device.type]
    for first in range(0, len(validation), at_once):
        videos = validation[first : first + at_once]
        features, labels, mask = collate(videos, device)
        with autocast(params, device):
            outputs = network(features, mask)
        for number, video in enumerate(videos):
            one = (slice(number, number + 1), slice(len(video)))
            logits = [refinement[one] for refinement in outputs.logits]
            losses.append(loss_of(logits, labels[one]))
            prediction.append(logits[-1][0].argmax(dim=1))
    truth = np.concatenate([video.labels for video in validation])
    labelled = truth != UNLABELLED
    predicted = torch.cat(prediction).cpu().numpy()
    loss = float(np.mean([value.item() for value in losses]))
    return validated(row, loss, truth[labelled], predicted[labelled])


def autocast(params: "TrainParams", device: torch.device) -> torch.autocast:
    """The arithmetic that `train.precision` asks for."""
    mixed = params.precision == "bf16-mixed"
    return torch.autocast(device.type, torch.bfloat16, enabled=mixed)


def detached(state: State | None) -> State | None:
    """The state without its graph: gradients stop at the window's start."""
    if isinstance(state, torch.Tensor):
        return state.detach()
    if isinstance(state, tuple):
        return tuple(detached(part) for part in state)
    return None
