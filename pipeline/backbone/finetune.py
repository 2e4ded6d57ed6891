"""The spatial study: one function, from labelled frames to the best weights of the CNN."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import lightning_fabric
import numpy as np
import torch
from lightning_fabric.wrappers import _FabricOptimizer
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from pipeline.backbone.augment import augment
from pipeline.backbone.classifier import FrameClassifier
from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.backbone.loader import load, to_device
from pipeline.backbone.params_finetune import FinetuneParams
from pipeline.backbone.shared_norm import share_batch_norm
from pipeline.backbone.strategy import (
    first_trained,
    learning_rate,
    parameter_groups,
    set_trained,
)
from pipeline.errors import PipelineError
from pipeline.networks.backbones.transform import Transform
from pipeline.seeding import derived_seed, seed_everything
from pipeline.training.class_weights import class_weights
from pipeline.training.frame_loss import batch_loss
from pipeline.training.state import Tensors, load_state, save_state


@dataclass(frozen=True)
class Epoch:
    """One row of the curves. Validation figures are None without validation videos."""

    epoch: int
    lr: float
    trained_children: int
    train_loss: float
    val_loss: float | None
    val_accuracy: float | None
    val_macro_f1: float | None


@dataclass(frozen=True)
class Finetuned:
    """The result: weights of the classifier, the epoch they are from (from 1), and the curves."""

    weights: Tensors
    best_epoch: int
    history: list[Epoch]


def finetune(
    fabric: lightning_fabric.Fabric,
    network: FrameClassifier,
    training: LabelledFrames,
    validation: LabelledFrames,
    params: FinetuneParams,
    seed: int,
    state: Path,
    workers: int,
    on_step: Callable[[int, int, int], None],
    on_epoch: Callable[[Epoch], None],
) -> Finetuned:
    """Train until validation macro F1 stops rising, or for all epochs.

    Everything random is drawn from (seed, epoch) or (seed, epoch, frame): a resumed training
    repeats what an undisturbed one does, whatever the number of workers.

    Args:
        fabric: Device, precision and, launched already, processes. Batch norm normalises over all
            of them, so that their number changes nothing but rounding.
        network: With initial weights.
        training: Frames to learn from, all labelled.
        validation: Frames to choose the weights by, all labelled, never augmented; empty only
            where params.early_stop is 0.
        params: The section `backbone.finetune`.
        seed: Of everything random.
        state: Where the state after each epoch is kept.
        workers: Threads that decode and augment.
        on_step: Called with epoch, step (from 1) and number of steps.
        on_epoch: Called with each row of the curves, also with those of a resumed state.
    """
    if fabric.world_size > 1:
        share_batch_norm(network)
    phases = network_phases(network)
    weights = class_weights(params.class_weights, training.phase, phases)
    class_weight = torch.tensor(weights).float().to(fabric.device)
    groups = parameter_groups(network, params)
    raw_optimizer = torch.optim.AdamW(groups, lr=params.lr, weight_decay=params.weight_decay)
    network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = fabric.setup_optimizers(raw_optimizer)
    assert isinstance(optimizer, _FabricOptimizer)  # one in, one out
    history: list[Epoch] = []
    best: Tensors = {}
    best_epoch = 0
    if state.is_file():
        best, header = load_state(state, network, raw_optimizer)
        history = [Epoch(**row) for row in header["history"]]
        best_epoch = header["best_epoch"]
        fabric.strategy.precision.load_state_dict(header["precision"])
        for row in history:
            on_epoch(row)
    children = [any(True for _ in c.parameters()) for c in network.children_of_cnn()]
    model, trained_from = None, -1

    for epoch in range(len(history) + 1, params.epochs + 1):
        if params.early_stop and epoch - best_epoch > params.early_stop:
            break
        first = first_trained(params, epoch, children)
        set_trained(network, first)
        if model is None or first != trained_from:
            # DDP notes at its making which weights to synchronise.
            model, trained_from = None, first
            model = fabric.setup_module(network)
        seed_everything(derived_seed(seed, "epoch", epoch))
        lr = learning_rate(params, epoch, [row.val_loss for row in history])
        for group in optimizer.param_groups:
            group["lr"] = lr * group["rate"]
        plan = steps_of(len(training), params, derived_seed(seed, "order", epoch))
        images = load(
            training,
            [part[fabric.global_rank :: fabric.world_size] for step in plan for part in step],
            _augmenting(network.transform, params, derived_seed(seed, "augment", epoch)),
            workers,
        )
        losses = []
        for number, step in enumerate(plan, start=1):
            rows = np.concatenate(step)
            whole = (
                float(weights[training.phase[rows]].sum()),
                float((~np.isnan(training.tools[rows])).sum()),
            )
            for part in step:
                own = part[fabric.global_rank :: fabric.world_size]
                batch = to_device(next(images), fabric.device)
                phase = torch.from_numpy(training.phase[own]).to(fabric.device, non_blocking=True)
                tools = torch.from_numpy(training.tools[own]).to(fabric.device, non_blocking=True)
                last = part is step[-1]
                with fabric.no_backward_sync(model, enabled=not last):
                    loss = batch_loss(model(batch), phase, tools, class_weight, whole, params)
                    # DDP averages over processes; the loss is a sum over their shares.
                    fabric.backward(loss * fabric.world_size)
                losses.append(loss.detach())
            optimizer.step()
            optimizer.zero_grad()
            on_step(epoch, number, len(plan))
        train_loss = _summed(fabric, torch.stack(losses).sum()).item() / len(plan)
        _check_finite("loss", train_loss, epoch)
        row = Epoch(epoch, lr, sum(children[first:]), _rounded(train_loss), None, None, None)
        if len(validation):
            logits, _ = predict(fabric, network, validation, params.batch, workers)
            row = _validated(row, logits, validation, class_weight.cpu(), params)
            _check_finite("validation loss", row.val_loss, epoch)
        history.append(row)
        if is_best(history):
            best_epoch = epoch
            # A copy: state_dict() alone would go on changing with the training.
            best = {name: t.detach().cpu().clone() for name, t in network.state_dict().items()}
        if fabric.is_global_zero:
            content = {
                "history": [asdict(row) for row in history],
                "best_epoch": best_epoch,
                "precision": fabric.strategy.precision.state_dict(),
            }
            save_state(state, network, best, raw_optimizer, content)
        on_epoch(row)
    return Finetuned(best, best_epoch, history)


def steps_of(frames: int, params: FinetuneParams, seed: int) -> list[list[NDArray[np.intp]]]:
    """The frames of an epoch in random order, by optimizer step and forward pass.

    Steps differ by one frame at most: a last one of a few frames would count as much as the
    others, and batch norm cannot work on one.
    """
    order = np.random.default_rng(seed).permutation(frames)[: params.frames_per_epoch]
    steps = math.ceil(len(order) / (params.batch * params.accumulate))
    return [
        [part for part in np.array_split(step, params.accumulate) if len(part)]
        for step in np.array_split(order, steps)
    ]


@torch.inference_mode()
def predict(
    fabric: lightning_fabric.Fabric,
    network: FrameClassifier,
    frames: LabelledFrames,
    batch: int,
    workers: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of phases (N, C) and tools (N, K) of every frame, on the CPU, float32.

    Args:
        fabric: Its processes share the frames.
        network: On the device; left in evaluation mode.
        frames: Seen as the features stage sees them, without augmentation.
        batch: Frames per forward pass.
        workers: Threads that decode.
    """
    network.eval()
    own = np.arange(len(frames))[fabric.global_rank :: fabric.world_size]
    parts = np.array_split(own, max(1, math.ceil(len(own) / batch)))
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    for images in load(frames, parts, _evaluating(network.transform), workers):
        # Not through DDP, which would wait for processes that have fewer batches.
        with fabric.autocast():
            phases, tools = network(to_device(images, fabric.device))
        found.append((phases.float(), tools.float()))
    whole = []
    for kind in zip(*found, strict=True):
        logits = torch.zeros(len(frames), kind[0].shape[1], device=fabric.device)
        logits[torch.from_numpy(own).to(fabric.device)] = torch.cat(kind)
        whole.append(_summed(fabric, logits).cpu())
    return whole[0], whole[1]


def is_best(history: list[Epoch]) -> bool:
    """Whether the last row has the highest validation macro F1; always without validation."""
    last = history[-1].val_macro_f1
    if last is None:
        return True
    return all(row.val_macro_f1 is None or last > row.val_macro_f1 for row in history[:-1])


def network_phases(network: FrameClassifier) -> int:
    """C, from the last layer of the head."""
    return [m for m in network.phases.modules() if isinstance(m, torch.nn.Linear)][-1].out_features


def _summed(fabric: lightning_fabric.Fabric, tensor: torch.Tensor) -> torch.Tensor:
    total = fabric.all_reduce(tensor, reduce_op="sum")
    assert isinstance(total, torch.Tensor)
    return total


def _augmenting(
    transform: Transform, params: FinetuneParams, seed: int
) -> Callable[[NDArray[np.uint8], int], torch.Tensor]:
    def prepare(image: NDArray[np.uint8], row: int) -> torch.Tensor:
        drawn = derived_seed(seed, row)
        varied = augment(image, drawn, params.augment, transform.crop_px, transform.mean)
        return torch.from_numpy(varied).permute(2, 0, 1)

    return prepare


def _evaluating(transform: Transform) -> Callable[[NDArray[np.uint8], int], torch.Tensor]:
    def prepare(image: NDArray[np.uint8], row: int) -> torch.Tensor:
        return transform.prepare(torch.from_numpy(image).permute(2, 0, 1))

    return prepare


def _validated(
    row: Epoch,
    logits: torch.Tensor,
    validation: LabelledFrames,
    weights: torch.Tensor,
    params: FinetuneParams,
) -> Epoch:
    phase = torch.from_numpy(validation.phase)
    whole = (max(float(weights[phase].sum()), 1e-12), 1.0)
    loss = batch_loss((logits, logits[:, :0]), phase, logits[:, :0], weights, whole, params)
    prediction = logits.argmax(dim=1).numpy()
    return Epoch(
        row.epoch,
        row.lr,
        row.trained_children,
        row.train_loss,
        _rounded(float(loss)),
        _rounded(float(np.mean(validation.phase == prediction))),
        # Pooled frames; phases absent from both truth and prediction are left out.
        _rounded(float(f1_score(validation.phase, prediction, average="macro", zero_division=0))),
    )


def _check_finite(name: str, loss: float | None, epoch: int) -> None:
    if loss is not None and not math.isfinite(loss):
        raise PipelineError(
            f"backbone: the {name} of epoch {epoch} is {loss}. Lower backbone.finetune.lr "
            "or backbone_lr, or set precision: 32-true."
        )


def _rounded(value: float) -> float:
    return round(value, 6)
