"""Fine-tuning with context: one function, from videos to a backbone and the RNN behind it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.backbone.context_network import ContextClassifier
from pipeline.backbone.context_windows import tracks, training_windows, windows
from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.backbone.loader import Prepare, evaluating, load, to_device
from pipeline.backbone.loop import FineTuningEpoch, augmenting
from pipeline.backbone.params_finetune import FinetuneParams
from pipeline.backbone.strategy import first_trained, parameter_groups, set_trained
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.memory_format import to_channels_last
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.temporal.contract import State
from pipeline.seeding import derived_seed, seed_everything
from pipeline.training.class_weights import class_weights
from pipeline.training.history import best_epoch, check_finite, is_finished, rounded, validated
from pipeline.training.schedules import advance, rate, schedule
from pipeline.training.sequence_loss import SequenceLoss
from pipeline.training.state import StateFile, Tensors, copied

_ADVICE = "Lower backbone.finetune.lr or backbone_lr, or set precision: 32-true."
# Gradients through time can be large; that of the temporal models' training.
_CLIP_NORM = 1.0


@dataclass(frozen=True)
class ContextTuning:
    """A training with context and all that decides it.

    Attributes:
        name: Of the backbone.
        tensors: Its initial weights.
        transform: What the network sees of a frame, at the crop of training.
        training: All frames of the training videos; those without a label are context.
        validation: All frames of the validation videos, likewise.
        num_classes: C.
        params: The section `backbone.finetune`, which has a context.
        every: Samples from one frame to the next.
        seed: Of everything random.
    """

    name: str
    tensors: Tensors
    transform: Transform
    training: LabelledFrames
    validation: LabelledFrames
    num_classes: int
    params: FinetuneParams
    every: int
    seed: int

    @property
    def together(self) -> int:
        """Windows in a forward pass: `params.batch` frames of them, at least one."""
        assert self.params.context is not None
        return max(1, self.params.batch // self.params.context.frames)

    def build(self) -> ContextClassifier:
        """The network before its training: initial weights, and an RNN drawn from the seed."""
        assert self.params.context is not None
        seed_everything(derived_seed(self.seed, "head"))
        network = ContextClassifier(
            build_backbone(self.name),
            self.transform,
            self.num_classes,
            self.params.context.rnn,
            self.params.context.hidden,
            self.params.checkpointing,
        )
        network.backbone.load_state_dict(self.tensors)
        return network


def fine_tune(
    network: ContextClassifier,
    task: ContextTuning,
    state: StateFile,
    device: torch.device,
    workers: int,
    on_epoch: Callable[[FineTuningEpoch], None],
) -> None:
    """Train until validation macro F1 stops rising, or for all epochs.

    As loop.fine_tune, on one device: everything random is drawn from (seed, epoch), so that a
    resumed training repeats what an undisturbed one does.

    Args:
        network: The task's, before its training.
        task: Frames, parameters and seed.
        state: Gets the state after each epoch, and with it the best weights and the curves.
        device: Where to train.
        workers: Threads that decode and augment.
        on_epoch: Called with each row of the curves, also with those of a resumed state.
    """
    params = task.params
    to_channels_last(network, device)
    weights = class_weights(params.class_weights, task.training.labels, task.num_classes)
    loss_of = SequenceLoss(
        torch.tensor(weights).float().to(device),
        params.loss,
        params.label_smoothing,
        params.focal_gamma,
    )
    optimizer = torch.optim.AdamW(
        parameter_groups(network, params), lr=params.lr, weight_decay=params.weight_decay
    )
    rates = schedule(
        params.scheduler, params.lr, params.epochs, params.plateau_factor, params.plateau_patience
    )
    history: list[FineTuningEpoch] = []
    best: Tensors = {}
    header = state.header()
    if header is not None:
        best = state.load(network, optimizer)
        for row in (FineTuningEpoch(**values) for values in header["history"]):
            history.append(row)
            advance(rates, row.val_loss)
            on_epoch(row)
    weighted = [any(True for _ in block.parameters()) for block in network.blocks]

    while not is_finished(history, params.epochs, params.early_stop):
        epoch = len(history) + 1
        first = first_trained(params, epoch, weighted)
        set_trained(network, first)
        seed_everything(derived_seed(task.seed, "epoch", epoch))
        for group in optimizer.param_groups:
            group["lr"] = rate(rates) * group["rate"]
        loss = _train_epoch(network, task, optimizer, loss_of, epoch, device, workers)
        check_finite("backbone: the loss", loss, epoch, _ADVICE)
        row = FineTuningEpoch(
            epoch, rate(rates), rounded(loss), trained_children=sum(weighted[first:])
        )
        known = task.validation.labels >= 0
        if known.any():
            logits = predict(network, task, device, workers)[known]
            truth = task.validation.labels[known]
            value = loss_of([logits[None].to(device)], torch.from_numpy(truth)[None].to(device))
            row = validated(row, value.item(), truth, logits.argmax(dim=1).numpy())
            check_finite("backbone: the validation loss", row.val_loss, epoch, _ADVICE)
        history.append(row)
        advance(rates, row.val_loss)
        if best_epoch(history) == epoch:
            best = copied(network)
        state.save(network, best, optimizer, {"history": [asdict(row) for row in history]})
        on_epoch(row)


@torch.inference_mode()
def predict(
    network: ContextClassifier, task: ContextTuning, device: torch.device, workers: int
) -> torch.Tensor:
    """Logits (N, C) of all validation frames, on the CPU, float32.

    Videos are walked through from start to end as in training, with a step of `task.every` from
    each of their first samples, so that every frame is predicted once.

    Args:
        network: On the device; left in evaluation mode.
        task: Whose validation frames.
        device: Of the network.
        workers: Threads that decode.
    """
    context, frames = task.params.context, task.validation
    assert context is not None
    network.eval()
    videos = len(frames.containers)
    found = [
        track
        for offset in range(task.every)
        for track in tracks(frames, task.every, [offset] * videos)
    ]
    plan = list(windows(found, context.frames, task.together))
    logits = torch.zeros(len(frames), task.num_classes)
    state: State | None = None
    images = load(frames, [w.frames for w in plan], evaluating(network.transform), workers)
    for window, batch in zip(plan, images, strict=True):
        state = state if context.carry and not window.begins else None
        mask = torch.from_numpy(window.mask)
        with _autocast(task.params, device):
            some, state = network.in_context(to_device(batch, device), mask.to(device), state)
        logits[torch.from_numpy(window.frames)] = some.float().cpu()[mask]
    return logits


def _train_epoch(
    network: ContextClassifier,
    task: ContextTuning,
    optimizer: torch.optim.Optimizer,
    loss_of: SequenceLoss,
    epoch: int,
    device: torch.device,
    workers: int,
) -> float:
    """A step for every window with labels; the mean of their losses."""
    params, frames = task.params, task.training
    assert params.context is not None
    drawn = derived_seed(task.seed, "order", epoch)
    plan = training_windows(
        frames, task.every, params.context.frames, task.together, params.context.carry, drawn
    )
    images = load(frames, [w.frames for w in plan], _alike_in_a_video(task, epoch), workers)
    state: State | None = None
    losses = []
    for window, batch in zip(plan, images, strict=True):
        mask = torch.from_numpy(window.mask)
        labels = torch.from_numpy(np.where(window.mask, frames.labels[window.rows], -1)).to(device)
        state = None if window.begins else _detached(state)
        learns = bool((labels >= 0).any())
        with torch.set_grad_enabled(learns), _autocast(params, device):
            logits, state = network.in_context(to_device(batch, device), mask.to(device), state)
        if not learns:
            continue
        loss = loss_of([logits], labels)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    return torch.stack(losses).mean().item()


def _alike_in_a_video(task: ContextTuning, epoch: int) -> Prepare:
    """Augmentation that is drawn for a video and an epoch: one that flickered would hide motion."""
    seed = derived_seed(task.seed, "augment", epoch)
    of_row = augmenting(task.transform, task.params, seed)
    videos = task.training.video

    def prepare(image: NDArray[np.uint8], row: int) -> torch.Tensor:
        return of_row(image, int(videos[row]))

    return prepare


def _autocast(params: FinetuneParams, device: torch.device) -> torch.autocast:
    mixed = params.precision == "bf16-mixed"
    return torch.autocast(device.type, torch.bfloat16, enabled=mixed)


def _detached(state: State) -> State:
    """The state without its graph: gradients stop at the window's start."""
    if isinstance(state, tuple):
        return tuple(part.detach() for part in state)
    return state.detach()
