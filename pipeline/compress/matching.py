"""The training loop: a small network learns the features of a large one."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cosine_similarity, mse_loss

from pipeline.backbone.loader import evaluating, load, to_device
from pipeline.compress.examples import Examples, rows_of
from pipeline.compress.logits import logits_loss
from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.memory_format import images_channels_last
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.temporal.standardise import Standardise
from pipeline.seeding import derived_seed, seed_everything
from pipeline.training.history import check_finite, rounded
from pipeline.training.state import StateFile

BATCH = 32
WEIGHT_DECAY = 1e-4


class Learner(nn.Module):
    """A small network on its way to the teacher's features.

    Args:
        backbone: The small network.
        transform: What it sees of a frame.
        teacher: Statistics of the teacher's features, which are compared after standardising.
        to_features: From its features to the teacher's, standardised; None where its features are
            to be the teacher's own.
        classes: C of the logits that it learns as well; 0 for none.
        keeps_statistics: Whether its batch norm keeps the statistics that it came with.
    """

    def __init__(
        self,
        backbone: Backbone,
        transform: Transform,
        teacher: Standardise,
        to_features: nn.Module | None,
        classes: int,
        keeps_statistics: bool,
    ) -> None:
        super().__init__()
        self.network = backbone.network
        self.transform = transform
        self.teacher = teacher
        self.to_features = to_features
        self.to_logits = nn.Linear(backbone.dim, classes) if classes else None
        self.keeps_statistics = keeps_statistics

    def train(self, mode: bool = True) -> "Learner":
        """As of any module, but for a network that keeps its statistics."""
        super().train(mode)
        if self.keeps_statistics:
            self.network.eval()
        return self

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Images (B, 3, H, W) uint8 to standardised features (B, D) and logits (B, C)."""
        own = self.network(images_channels_last(self.transform.normalise(images)))
        features = self.teacher(own) if self.to_features is None else self.to_features(own)
        return features, None if self.to_logits is None else self.to_logits(own)


@dataclass(frozen=True)
class Learning:
    """How it is learnt.

    Attributes:
        epochs: Over all frames.
        lr: Of AdamW at the start; falls to zero along half a cosine, epoch by epoch.
        seed: Of the order of frames and of all else that is random.
    """

    epochs: int
    lr: float
    seed: int


def learn(
    learner: Learner,
    examples: Examples,
    logits: tuple[NDArray[np.float32], ...] | None,
    how: Learning,
    state: StateFile,
    workers: int,
    device: torch.device,
    on_epoch: Callable[[int, float], None],
) -> list[float]:
    """Train to the end, from where a killed run left off.

    The images are those that the teacher saw, without any augmentation: cached features belong to
    the centre crop, and to no other view of the frame.

    Args:
        learner: Is trained in place; on the device already.
        examples: Frames and the teacher's features.
        logits: (T, C) of each video, if the learner has classes.
        how: Length, rate and seed.
        state: Written after each epoch, and read first.
        workers: Threads that decode.
        device: Where it runs.
        on_epoch: Called with each epoch from 1 and its loss, also with those of a resumed run.

    Returns:
        The mean loss of each epoch.

    Raises:
        PipelineError: A frame is damaged, or the loss is not finite.
    """
    optimizer = torch.optim.AdamW(learner.parameters(), lr=how.lr, weight_decay=WEIGHT_DECAY)
    losses: list[float] = []
    saved = state.header()
    if saved is not None:
        losses = list(saved["losses"])
        state.load(learner, optimizer)
    for epoch, loss in enumerate(losses, start=1):
        on_epoch(epoch, loss)
    learner.train()
    for epoch in range(len(losses) + 1, how.epochs + 1):
        for group in optimizer.param_groups:
            group["lr"] = how.lr * (1 + math.cos(math.pi * (epoch - 1) / how.epochs)) / 2
        # A resumed run draws what an undisturbed one does.
        seed_everything(derived_seed(how.seed, "epoch", epoch))
        total = 0.0
        batches = shuffled(len(examples), derived_seed(how.seed, "order", epoch))
        prepared = load(examples.frames, batches, evaluating(learner.transform), workers)
        for images, rows in zip(prepared, batches, strict=True):
            loss_now = _loss(learner, to_device(images, device), examples, logits, rows)
            optimizer.zero_grad()
            loss_now.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += float(loss_now.detach()) * len(rows)
        losses.append(rounded(total / len(examples)))
        check_finite("compress: the loss", losses[-1], epoch, "Check the features and the weights.")
        state.save(learner, {}, optimizer, {"losses": losses})
        on_epoch(epoch, losses[-1])
    return losses


@torch.no_grad()
def closeness(learner: Learner, examples: Examples, workers: int, device: torch.device) -> float:
    """How close the features come to the teacher's: mean cosine over frames, after standardising.

    Without standardising, the mean that all frames share would make any two features alike.
    """
    learner.eval()
    batches = np.array_split(np.arange(len(examples)), math.ceil(len(examples) / BATCH))
    prepared = load(examples.frames, batches, evaluating(learner.transform), workers)
    similar = []
    for images, rows in zip(prepared, batches, strict=True):
        found, _ = learner(to_device(images, device))
        similar.append(cosine_similarity(found, _wanted(learner, examples, rows, device)))
    return rounded(float(torch.cat(similar).double().mean()))


def feature_loss(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean squared error (FitNets, Romero et al., ICLR 2015) and one minus the cosine.

    Args:
        found: (B, D), standardised.
        wanted: (B, D), standardised.
    """
    return mse_loss(found, wanted) + (1 - cosine_similarity(found, wanted)).mean()


def shuffled(count: int, seed: int) -> list[NDArray[np.intp]]:
    """All rows in random order, in batches of at most BATCH whose lengths differ by one.

    A last batch of a single image would have no variance for batch norm.
    """
    order = np.random.default_rng(seed).permutation(count)
    return np.array_split(order, math.ceil(count / BATCH))


def _loss(
    learner: Learner,
    images: torch.Tensor,
    examples: Examples,
    logits: tuple[NDArray[np.float32], ...] | None,
    rows: NDArray[np.intp],
) -> torch.Tensor:
    found, classes = learner(images)
    loss = feature_loss(found, _wanted(learner, examples, rows, images.device))
    if logits is not None and classes is not None:
        wanted = torch.from_numpy(rows_of(logits, examples.frames, rows)).to(images.device)
        loss = loss + logits_loss(classes, wanted)
    return loss


def _wanted(
    learner: Learner, examples: Examples, rows: NDArray[np.intp], device: torch.device
) -> torch.Tensor:
    standardised: torch.Tensor = learner.teacher(examples.targets(rows).to(device))
    return standardised
