"""The training loop: from labelled videos to the best weights."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.networks.temporal.contract import Kind, State, TemporalModule
from pipeline.seeding import derived_seed, seed_everything
from pipeline.settings import Section
from pipeline.train.params import TrainParams
from pipeline.training.class_weights import class_weights
from pipeline.training.cross_entropy import UNLABELLED
from pipeline.training.history import (
    Epoch,
    best_epoch,
    check_finite,
    is_finished,
    rounded,
    validated,
)
from pipeline.training.schedules import advance, rate, schedule
from pipeline.training.sequence_loss import sequence_loss
from pipeline.training.state import StateFile, Tensors, copied

if TYPE_CHECKING:  # where features and labels are read from decides no weight
    from pipeline.sequences import Sequence as Video

_OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
# Padded to the longest. A processor is quicker with one recurrent video at a time.
_VALIDATED_AT_ONCE = {"cpu": 1, "cuda": 16}
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
    params: TrainParams,
    seed: int,
    device: torch.device,
    state: StateFile,
    on_epoch: Callable[[Epoch], None],
) -> Trained:
    """Train until validation macro F1 stops rising, or for all epochs.

    A network of several training phases goes through them one after the other, each from the best
    weights of the one before. Order and dropout of an epoch are drawn from (seed, epoch), so a
    resumed training needs no state of a random generator to repeat what an undisturbed one does.

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

    Raises:
        PipelineError: A loss is not finite.
    """
    labels = np.concatenate([video.labels for video in training])
    weights = torch.tensor(class_weights(params.class_weights, labels, network.num_classes))
    weights = weights.float().to(device)
    # Before optimizer and state: moments do not follow their parameters to another device.
    network.to(device)
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
        optimizer = _OPTIMIZERS[params.optimizer](
            [parameter for parameter in network.parameters() if parameter.requires_grad],
            lr=params.lr,
            weight_decay=params.weight_decay,
            fused=True,  # one pass over the weights in place of ten
        )
        if number == resumed:
            best = state.load(network, optimizer)
        else:
            begun.append(len(history))
        rows = history[begun[-1] :]
        rates = schedule(params.scheduler, params.lr, params.epochs)
        for row in rows:
            advance(rates, row.val_loss)

        while not is_finished(rows, params.epochs, params.early_stop):
            epoch = len(history) + 1
            seed_everything(derived_seed(seed, "epoch", epoch))
            for group in optimizer.param_groups:
                group["lr"] = rate(rates)
            batches = shuffled(training, params.batch, derived_seed(seed, "order", epoch))
            loss = _train_epoch(network, optimizer, batches, weights, params)
            check_finite("train: the loss", loss, epoch, _ADVICE)
            row = Epoch(epoch, rate(rates), rounded(loss))
            if validation:
                row = _validated(network, validation, weights, params, row)
                check_finite("train: the validation loss", row.val_loss, epoch, _ADVICE)
            advance(rates, row.val_loss)
            history.append(row)
            rows.append(row)
            if best_epoch(rows) == len(rows):
                best = copied(network)
            if state.is_due():
                header = {"history": [asdict(row) for row in history], "begun": begun}
                state.save(network, best, optimizer, header)
            on_epoch(row)
        network.load_state_dict(best)
    return Trained(best, begun[-1] + best_epoch(history[begun[-1] :]), history)


def shuffled(videos: Sequence["Video"], batch: int, seed: int) -> Iterator[list["Video"]]:
    """The videos in an order drawn from the seed, so many at once."""
    order = list(range(len(videos)))
    random.Random(seed).shuffle(order)
    for first in range(0, len(order), batch):
        yield [videos[i] for i in order[first : first + batch]]


def collate(
    videos: Sequence["Video"], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Videos padded to the longest: features (B, T, D), labels (B, T) with -1, mask (B, T)."""
    longest = max(len(video) for video in videos)
    features = torch.zeros(len(videos), longest, videos[0].features.shape[1], device=device)
    labels = torch.full((len(videos), longest), UNLABELLED, dtype=torch.int64)
    mask = torch.zeros(len(videos), longest, dtype=torch.bool)
    for row, video in enumerate(videos):
        # float16 becomes float32 on the device.
        features[row, : len(video)] = torch.from_numpy(video.features).to(device)
        labels[row, : len(video)] = torch.from_numpy(video.labels)
        mask[row, : len(video)] = True
    return features, labels.to(device), mask.to(device)


def _train_epoch(
    network: TemporalModule,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[list["Video"]],
    weights: torch.Tensor,
    params: TrainParams,
) -> float:
    """One step for each window that has labels; the mean of their losses."""
    network.train()
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    losses = []
    for videos in batches:
        features, labels, mask = collate(videos, weights.device)
        window = params.window or features.shape[1]
        carried: State | None = None
        for start in range(0, features.shape[1], window):
            part = slice(start, start + window)
            target, frames = labels[:, part], mask[:, part]
            # Without labels there is nothing to learn, but the state goes on.
            learns = bool((target != UNLABELLED).any())
            with torch.set_grad_enabled(learns), autocast(params, weights.device):
                outputs = network(features[:, part], frames, carried)
            carried = detached(outputs.state)
            if not learns:
                continue
            loss = sequence_loss(outputs.logits, target, weights)
            extra = network.extra_loss(outputs, target, frames)
            if extra is not None:
                loss = loss + extra
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(trained, params.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
    return torch.stack(losses).mean().item()


@torch.inference_mode()
def _validated(
    network: TemporalModule,
    validation: Sequence["Video"],
    weights: torch.Tensor,
    params: TrainParams,
    row: Epoch,
) -> Epoch:
    """The row with loss, accuracy and macro F1 of the validation videos."""
    network.eval()
    losses, prediction = [], []
    at_once = _VALIDATED_AT_ONCE[weights.device.type]
    for first in range(0, len(validation), at_once):
        videos = validation[first : first + at_once]
        features, labels, mask = collate(videos, weights.device)
        with autocast(params, weights.device):
            outputs = network(features, mask)
        for number, video in enumerate(videos):
            one = (slice(number, number + 1), slice(len(video)))
            logits = [refinement[one] for refinement in outputs.logits]
            losses.append(sequence_loss(logits, labels[one], weights))
            prediction.append(logits[-1][0].argmax(dim=1))
    truth = np.concatenate([video.labels for video in validation])
    labelled = truth != UNLABELLED
    predicted = torch.cat(prediction).cpu().numpy()
    loss = float(np.mean([value.item() for value in losses]))
    return validated(row, loss, truth[labelled], predicted[labelled])


def autocast(params: TrainParams, device: torch.device) -> torch.autocast:
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
