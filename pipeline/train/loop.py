"""The training loop: from labelled videos to the best weights."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.networks.temporal.contract import Kind, TemporalModule
from pipeline.seeding import derived_seed, seed_everything
from pipeline.settings import Section
from pipeline.train.batches import batches
from pipeline.train.epoch import train_epoch, validate
from pipeline.train.resident import resident
from pipeline.training.class_weights import class_weights
from pipeline.training.history import Epoch, check_finite, rounded
from pipeline.training.monitor import best_epoch, is_finished
from pipeline.training.optimizers import optimizer as optimizer_of
from pipeline.training.rates import Rates
from pipeline.training.sequence_loss import SequenceLoss
from pipeline.training.state import StateFile, Tensors, copied
from pipeline.training.weight_average import WeightAverage

if TYPE_CHECKING:  # where features, labels and parameters are read from decides no weight
    from pipeline.sequences import Sequence as Video
    from pipeline.train.params import TrainParams
    from pipeline.training.loss import Loss

_ADVICE = "Lower train.lr, or set train.precision: 32-true."


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        weights: Of the best epoch, on the CPU.
        best_epoch: From 1.
        history: All rows of the curves.
    """

    weights: Tensors
    best_epoch: int
    history: list[Epoch]


def initial_network(
    kind: Kind, params: Section, num_classes: int, training: Sequence["Video"], seed: int
) -> TemporalModule:
    """A network with weights drawn from the seed, and the statistics of all training frames."""
    seed_everything(derived_seed(seed, "network"))
    network = kind.build(training[0].features.shape[1], num_classes, params)
    total = sum(len(video) for video in training)
    mean = sum(v.features.sum(axis=0, dtype=np.float64) for v in training) / total
    square = sum(((v.features.astype(np.float64) - mean) ** 2).sum(axis=0) for v in training)
    std = np.sqrt(square / total)
    network.standardise.fit(torch.tensor(mean).float(), torch.tensor(std).float())
    return network


def train(
    network: TemporalModule,
    training: Sequence["Video"],
    validation: Sequence["Video"],
    params: "TrainParams",
    seed: int,
    device: torch.device,
    state: StateFile,
    on_epoch: Callable[[Epoch], None],
    loss_of: "Loss | None" = None,
) -> Trained:
    """Train until the monitored validation value is no longer better, or for all epochs.

    A network of several training phases goes through them one after the other, each from the best
    weights of the one before. Order and dropout of an epoch are drawn from (seed, epoch),
    augmentation from (seed, epoch, video), so a resumed training needs no state of a random
    generator to repeat what an undisturbed one does.

    Args:
        network: With initial weights.
        training: Videos to learn from.
        validation: Labelled videos to choose the weights by; none only where params.early_stop
            is 0.
        params: The section `train`.
        seed: Of everything random.
        device: Where to train.
        state: Where the state is kept meanwhile, and read from if it is there.
        on_epoch: Called with each row of the curves, also with those of a resumed state.
        loss_of: On the device; None: that of `params` over frames.

    Raises:
        PipelineError: A loss is not finite.
    """
    if loss_of is None:
        loss_of = _loss_over_frames(training, network.num_classes, params, device)
    # Before optimizer and state: moments do not follow their parameters to another device.
    network.to(device)
    # Variants are made by the processor.
    home = torch.device("cpu") if params.augment.varies else device
    placed = resident([*training, *validation], home)
    learnt, judged = placed[: len(training)], placed[len(training) :]
    saved = state.header() or {"history": [], "begun": []}
    history = [Epoch(**row) for row in saved["history"]]
    begun: list[int] = saved["begun"]  # rows before each training phase
    resumed = len(begun)
    for row in history:
        on_epoch(row)

    best: Tensors = {}
    for number, name in enumerate(network.training_phases, start=1):
        if number < resumed:
            continue
        network.begin_phase(name)
        own = params.of_phase(name)
        average = WeightAverage(network, own.ema) if own.ema else None
        in_training = average or network  # what a resumed training needs
        validated = average.mean if average else network
        optimizer = optimizer_of(
            own.optimizer,
            [parameter for parameter in network.parameters() if parameter.requires_grad],
            own.lr,
            own.weight_decay,
            own.decay,
        )
        if average:
            average.follow(optimizer)
        if number == resumed:
            best = state.load(in_training, optimizer)
        else:
            begun.append(len(history))
        rows = history[begun[-1] :]
        rates = Rates(
            own.scheduler,
            own.lr,
            own.epochs,
            own.warmup,
            own.plateau_factor,
            own.plateau_patience,
        )
        for row in rows:
            rates.advance(row.val_loss)

        while not is_finished(rows, own.epochs, own.early_stop, own.monitor):
            epoch = len(history) + 1
            seed_everything(derived_seed(seed, "epoch", epoch))
            for group in optimizer.param_groups:
                group["lr"] = rates.now
            seen = batches(learnt, own, network.standardise, seed, epoch)
            loss = train_epoch(network, optimizer, seen, loss_of, own)
            check_finite("train: the loss", loss, epoch, _ADVICE)
            row = Epoch(epoch, rates.now, rounded(loss))
            if judged:
                row = validate(validated, judged, loss_of, own, row)
                check_finite("train: the validation loss", row.val_loss, epoch, _ADVICE)
            rates.advance(row.val_loss)
            history.append(row)
            rows.append(row)
            if best_epoch(rows, own.monitor) == len(rows):
                best = copied(validated)
            if state.is_due():
                header = {"history": [asdict(row) for row in history], "begun": begun}
                state.save(in_training, best, optimizer, header)
            on_epoch(row)
        network.load_state_dict(best)
    best_row = begun[-1] + best_epoch(history[begun[-1] :], params.monitor)
    return Trained(best, best_row, history)


def _loss_over_frames(
    training: Sequence["Video"], num_classes: int, params: "TrainParams", device: torch.device
) -> SequenceLoss:
    labels = np.concatenate([video.labels for video in training])
    weights = torch.tensor(class_weights(params.class_weights, labels, num_classes))
    return SequenceLoss(
        weights.float().to(device), params.loss, params.label_smoothing, params.focal_gamma
    )
