"""The training loop: one function, from data to the best weights."""

import math
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import lightning_fabric
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from torch import nn

from pipeline.networks.temporal import TemporalNetwork
from pipeline.seeding import derived_seed, seed_everything
from pipeline.sequences import Sequence
from pipeline.train.params import TrainParams
from pipeline.training.class_weights import class_weights
from pipeline.training.sequence_loss import sequence_loss
from pipeline.training.state import Tensors, load_state, save_state

# Epochs until the first restart; each period is twice as long as the one before.
_FIRST_PERIOD = 10


@dataclass(frozen=True)
class Epoch:
    """One row of the curves. Validation figures are None without validation videos."""

    epoch: int
    lr: float
    train_loss: float
    val_loss: float | None
    val_accuracy: float | None
    val_macro_f1: float | None


@dataclass(frozen=True)
class Trained:
    """The result: weights on the CPU, the epoch they are from (from 1), and the curves."""

    weights: Tensors
    best_epoch: int
    history: list[Epoch]


def train(
    network: TemporalNetwork,
    training: list[Sequence],
    validation: list[Sequence],
    params: TrainParams,
    seed: int,
    fabric: lightning_fabric.Fabric,
    state: Path,
    on_epoch: Callable[[Epoch], None],
) -> Trained:
    """Train until validation macro F1 stops rising, or for all epochs.

    Order and dropout of an epoch are drawn from (seed, epoch), so a resumed training needs no
    state of a random generator to repeat what an undisturbed one does.

    Args:
        network: With initial weights.
        training: Videos to learn from.
        validation: Videos to choose the weights by; empty only where params.early_stop is 0.
        params: The section `train`.
        seed: Of everything random.
        fabric: Device and precision.
        state: Where the state after each epoch is kept.
        on_epoch: Called with each row of the curves, also with those of a resumed state.
    """
    phases = network_phases(network)
    labels = np.concatenate([sequence.labels for sequence in training])
    weights = torch.tensor(class_weights(params.class_weights, labels, phases)).float()
    weights = weights.to(fabric.device)
    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
    optimizer = kinds[params.optimizer](
        network.parameters(), lr=params.lr, weight_decay=params.weight_decay
    )
    history: list[Epoch] = []
    best: Tensors = {}
    best_epoch = 0
    if state.is_file():
        best, header = load_state(state, network, optimizer)
        history = [Epoch(**row) for row in header["history"]]
        best_epoch = header["best_epoch"]
        for row in history:
            on_epoch(row)
    model, optimizer = fabric.setup(network, optimizer)

    for epoch in range(len(history) + 1, params.epochs + 1):
        if params.early_stop and epoch - best_epoch > params.early_stop:
            break
        seed_everything(derived_seed(seed, "epoch", epoch))
        lr = learning_rate(params, epoch)
        for group in optimizer.param_groups:
            group["lr"] = lr
        order = list(range(len(training)))
        random.Random(derived_seed(seed, "order", epoch)).shuffle(order)
        model.train()
        losses = []
        for first in range(0, len(order), params.batch):
            batch = [training[i] for i in order[first : first + params.batch]]
            features, target, mask = (tensor.to(fabric.device) for tensor in collate(batch))
            window = params.window or features.shape[1]
            carried = None
            for start in range(0, features.shape[1], window):
                part = slice(start, start + window)
                logits, carried = model(features[:, part], mask[:, part], carried)
                loss = sequence_loss(logits, target[:, part], weights)
                fabric.backward(loss)
                fabric.clip_gradients(model, optimizer, max_norm=params.clip_norm)
                optimizer.step()
                optimizer.zero_grad()
                carried = _detached(carried)
                losses.append(loss.detach())

        row = Epoch(epoch, lr, _rounded(torch.stack(losses).mean().item()), None, None, None)
        if validation:
            row = _validated(row, model, validation, weights)
        history.append(row)
        if is_best(history):
            best_epoch = epoch
            # A copy: state_dict() alone would go on changing with the training.
            best = {name: t.detach().cpu().clone() for name, t in network.state_dict().items()}
        rows = [asdict(row) for row in history]
        save_state(state, network, best, optimizer, {"history": rows, "best_epoch": best_epoch})
        on_epoch(row)
    return Trained(best, best_epoch, history)


def is_best(history: list[Epoch]) -> bool:
    """Whether the last row has the highest validation macro F1; always without validation."""
    last = history[-1].val_macro_f1
    if last is None:
        return True
    return all(row.val_macro_f1 is None or last > row.val_macro_f1 for row in history[:-1])


def learning_rate(params: TrainParams, epoch: int) -> float:
    """The rate of an epoch (from 1): SGDR, Loshchilov and Hutter 2017, periods 10, 20, 40, ..."""
    if params.scheduler == "constant":
        return params.lr
    start, period = 1, _FIRST_PERIOD
    while epoch >= start + period:
        start, period = start + period, period * 2
    return params.lr * (1 + math.cos(math.pi * (epoch - start) / period)) / 2


def collate(batch: list[Sequence]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Videos padded to the longest: features (B, T, D), labels (B, T) with -1, mask (B, T)."""
    longest = max(len(sequence.labels) for sequence in batch)
    features = torch.zeros(len(batch), longest, batch[0].features.shape[1])
    labels = torch.full((len(batch), longest), -1, dtype=torch.int64)
    mask = torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, sequence in enumerate(batch):
        length = len(sequence.labels)
        features[row, :length] = torch.from_numpy(sequence.features)
        labels[row, :length] = torch.from_numpy(sequence.labels)
        mask[row, :length] = True
    return features, labels, mask


def network_phases(network: TemporalNetwork) -> int:
    """C, from the last layer of a temporal network."""
    return [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv1d)][-1].weight.shape[
        0
    ]


@torch.inference_mode()
def _validated(
    row: Epoch, model: nn.Module, validation: list[Sequence], weights: torch.Tensor
) -> Epoch:
    model.eval()
    losses: list[float] = []
    truth: list[NDArray[np.int64]] = []
    prediction: list[NDArray[np.int64]] = []
    for sequence in validation:
        features, target, mask = (tensor.to(weights.device) for tensor in collate([sequence]))
        logits, _ = model(features, mask)
        losses.append(sequence_loss(logits, target, weights).item())
        labelled = sequence.labels >= 0
        truth.append(sequence.labels[labelled])
        prediction.append(logits[-1][0].argmax(dim=1).cpu().numpy()[labelled])
    g, p = np.concatenate(truth), np.concatenate(prediction)
    return Epoch(
        row.epoch,
        row.lr,
        row.train_loss,
        _rounded(float(np.mean(losses))),
        _rounded(float(np.mean(g == p))),
        # Pooled frames; phases absent from both truth and prediction are left out.
        _rounded(float(f1_score(g, p, average="macro", zero_division=0))),
    )


def _detached(state: object) -> object:
    """The state without its graph: gradients stop at the window's start."""
    if isinstance(state, torch.Tensor):
        return state.detach()
    if isinstance(state, tuple):
        return tuple(part.detach() for part in state)
    return None


def _rounded(value: float) -> float:
    return round(value, 6)
