"""The fine-tuning loop: one function, from labelled frames to a trained classifier."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import lightning_fabric
import numpy as np
import torch
from lightning_fabric.wrappers import _FabricOptimizer
from numpy.typing import NDArray

from pipeline.backbone.augment import augment
from pipeline.backbone.classifier import FrameClassifier
from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.backbone.loader import evaluating, load, to_device
from pipeline.backbone.params_finetune import FinetuneParams
from pipeline.backbone.strategy import first_trained, parameter_groups, set_trained
from pipeline.backbone.task import FineTuning
from pipeline.networks.backbones.memory_format import to_channels_last
from pipeline.networks.backbones.transform import Transform
from pipeline.seeding import derived_seed, seed_everything
from pipeline.training.class_weights import class_weights
from pipeline.training.frame_loss import FrameLoss
from pipeline.training.history import (
    Epoch,
    best_epoch,
    check_finite,
    is_finished,
    rounded,
    validated,
)
from pipeline.training.schedules import advance, rate, schedule

if TYPE_CHECKING:  # where a state lies decides no weight
    from pipeline.training.state import StateFile

_ADVICE = "Lower backbone.finetune.lr or backbone_lr, or set precision: 32-true."


@dataclass(frozen=True)
class FineTuningEpoch(Epoch):
    """One row of the curves.

    Attributes:
        trained_children: Blocks with weights that trained in this epoch.
    """

    trained_children: int = 0


def fine_tune(
    fabric: lightning_fabric.Fabric,
    network: FrameClassifier,
    task: FineTuning,
    state: "StateFile",
    workers: int,
    on_step: Callable[[int, int, int], None],
    on_epoch: Callable[[FineTuningEpoch], None],
) -> None:
    """Train until validation macro F1 stops rising, or for all epochs.

    Everything random is drawn from (seed, epoch) or (seed, epoch, frame): a resumed training
    repeats what an undisturbed one does, whatever the number of workers.

    Args:
        fabric: Device, precision and, launched already, processes. On GPUs batch norm takes the
            images of all of them together, so that their number changes nothing but rounding.
        network: The task's, before its training.
        task: Frames, parameters and seed.
        state: Gets the state after each epoch, and with it the best weights and the curves.
        workers: Threads that decode and augment.
        on_step: Called with epoch, step (from 1) and number of steps.
        on_epoch: Called with each row of the curves, also with those of a resumed state.
    """
    training, validation, params = task.training, task.validation, task.params
    to_channels_last(network, fabric.device)
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        network.synchronise_batch_norm()
    weights = class_weights(params.class_weights, training.labels, task.num_classes)
    loss_of = FrameLoss(
        torch.tensor(weights).float().to(fabric.device),
        params.loss,
        params.label_smoothing,
        params.focal_gamma,
        params.tools,
    )
    raw_optimizer = torch.optim.AdamW(
        parameter_groups(network, params), lr=params.lr, weight_decay=params.weight_decay
    )
    optimizer = fabric.setup_optimizers(raw_optimizer)
    assert isinstance(optimizer, _FabricOptimizer)  # one in, one out
    rates = schedule(
        params.scheduler, params.lr, params.epochs, params.plateau_factor, params.plateau_patience
    )
    history: list[FineTuningEpoch] = []
    best: dict[str, torch.Tensor] = {}
    header = state.header()
    if header is not None:
        best = state.load(network, raw_optimizer)
        fabric.strategy.precision.load_state_dict(header["precision"])
        for row in (FineTuningEpoch(**values) for values in header["history"]):
            history.append(row)
            advance(rates, row.val_loss)
            on_epoch(row)
    weighted = [any(True for _ in block.parameters()) for block in network.blocks]
    model, trained_from = None, -1

    while not is_finished(history, params.epochs, params.early_stop):
        epoch = len(history) + 1
        first = first_trained(params, epoch, weighted)
        set_trained(network, first)
        if model is None or first != trained_from:
            # DDP notes when it is made which weights it has to synchronise.
            model, trained_from = None, first
            model = fabric.setup_module(network)
        seed_everything(derived_seed(task.seed, "epoch", epoch))
        for group in optimizer.param_groups:
            group["lr"] = rate(rates) * group["rate"]
        drawn = derived_seed(task.seed, "order", epoch)
        plan = steps_of(len(training), params, drawn, fabric.world_size)
        images = load(
            training,
            [_share(fabric, part) for step in plan for part in step],
            augmenting(network.transform, params, derived_seed(task.seed, "augment", epoch)),
            workers,
        )
        losses = []
        for number, step in enumerate(plan, start=1):
            rows = np.concatenate(step)
            whole = (
                float(weights[training.labels[rows]].sum()),
                float((~np.isnan(training.tools[rows])).sum()),
            )
            for part in step:
                rows = _share(fabric, part)
                batch = to_device(next(images), fabric.device)
                labels = torch.from_numpy(training.labels[rows]).to(
                    fabric.device, non_blocking=True
                )
                tools = torch.from_numpy(training.tools[rows]).to(fabric.device, non_blocking=True)
                last = part is step[-1]
                with fabric.no_backward_sync(model, enabled=not last):
                    loss = loss_of(model(batch), labels, tools, whole)
                    # DDP averages over processes; the loss is a sum over their shares.
                    fabric.backward(loss * fabric.world_size)
                losses.append(loss.detach())
            optimizer.step()
            optimizer.zero_grad()
            on_step(epoch, number, len(plan))
        train_loss = _summed(fabric, torch.stack(losses).sum()).item() / len(plan)
        check_finite("backbone: the loss", train_loss, epoch, _ADVICE)
        row = FineTuningEpoch(
            epoch, rate(rates), rounded(train_loss), trained_children=sum(weighted[first:])
        )
        if len(validation):
            logits, _ = predict(fabric, network, validation, params.batch, workers)
            row = _validated(row, logits, validation, loss_of)
            check_finite("backbone: the validation loss", row.val_loss, epoch, _ADVICE)
        history.append(row)
        advance(rates, row.val_loss)
        if best_epoch(history) == epoch:
            # A copy: state_dict() alone would go on changing with the training.
            best = {name: t.detach().cpu().clone() for name, t in network.state_dict().items()}
        if fabric.is_global_zero:
            content = {
                "history": [asdict(row) for row in history],
                "precision": fabric.strategy.precision.state_dict(),
            }
            state.save(network, best, raw_optimizer, content)
        on_epoch(row)


def steps_of(
    num_frames: int, params: FinetuneParams, seed: int, devices: int = 1
) -> list[list[NDArray[np.intp]]]:
    """The frames of an epoch in random order, by optimizer step and forward pass.

    Steps, and the passes of a step, differ by one frame at most: a last one of a few frames would
    count as much as the others. Each pass has at least two frames for each device, where there are
    so many at all, because batch norm cannot work on one.
    """
    order = np.random.default_rng(seed).permutation(num_frames)[: params.frames_per_epoch]
    most = max(1, len(order) // (2 * devices))
    steps = min(math.ceil(len(order) / (params.batch * params.accumulate)), most)
    return [
        np.array_split(step, min(params.accumulate, max(1, len(step) // (2 * devices))))
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
    """Logits of classes (N, C) and tools (N, K) of every frame, on the CPU, float32.

    Args:
        fabric: Its processes share the frames.
        network: On the device; left in evaluation mode.
        frames: Seen as the features stage sees them, without augmentation.
        batch: Frames per forward pass.
        workers: Threads that decode.
    """
    network.eval()
    rows = _share(fabric, np.arange(len(frames)))
    parts = np.array_split(rows, max(1, math.ceil(len(rows) / batch)))
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    for images in load(frames, parts, evaluating(network.transform), workers):
        # Not through DDP, which would wait for processes that have fewer batches.
        with fabric.autocast():
            classes, tools = network(to_device(images, fabric.device))
        found.append((classes.float(), tools.float()))
    whole = []
    for kind in zip(*found, strict=True):
        logits = torch.zeros(len(frames), kind[0].shape[1], device=fabric.device)
        logits[torch.from_numpy(rows).to(fabric.device)] = torch.cat(kind)
        whole.append(_summed(fabric, logits).cpu())
    return whole[0], whole[1]


def augmenting(
    transform: Transform, params: FinetuneParams, seed: int
) -> Callable[[NDArray[np.uint8], int], torch.Tensor]:
    """A frame (H, W, 3) and its row to a random variant (3, crop, crop), drawn from the seed."""
    red, green, blue = transform.mean if transform.channels == "rgb" else transform.mean[::-1]
    order = slice(None, None, 1 if transform.channels == "rgb" else -1)

    def prepare(image: NDArray[np.uint8], row: int) -> torch.Tensor:
        drawn, mean = derived_seed(seed, row), (red, green, blue)
        varied = augment(image, drawn, params.augment, transform.crop_px, mean)[..., order]
        return torch.from_numpy(np.ascontiguousarray(varied)).permute(2, 0, 1)

    return prepare


def _share(fabric: lightning_fabric.Fabric, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Those of a pass's rows that are this process's."""
    return rows[fabric.global_rank :: fabric.world_size]


def _summed(fabric: lightning_fabric.Fabric, tensor: torch.Tensor) -> torch.Tensor:
    total = fabric.all_reduce(tensor, reduce_op="sum")
    assert isinstance(total, torch.Tensor)
    return total


def _validated(
    row: FineTuningEpoch, logits: torch.Tensor, validation: LabelledFrames, loss: FrameLoss
) -> FineTuningEpoch:
    """The row with loss and scores of the validation frames; the loss leaves tools out."""
    labels = torch.from_numpy(validation.labels)
    loss = replace(loss, class_weights=loss.class_weights.cpu())
    total = max(float(loss.class_weights[labels].sum()), 1e-12)
    none = logits[:, :0]
    value = loss((logits, none), labels, none, (total, 1.0))
    return validated(row, float(value), validation.labels, logits.argmax(dim=1).numpy())
