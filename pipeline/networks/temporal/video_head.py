"""One answer per video: any kind of temporal network, its frames pooled over time.

The attention is the gated one of Ilse, Tomczak and Welling, "Attention-based Deep Multiple Instance
Learning", ICML 2018, equation 9, with the frames of a video as the instances of a bag. Departure:
the instances know their neighbours, because the temporal network saw the video before.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pipeline.networks.temporal.contract import Kind, Outputs, State, TemporalModule
from pipeline.settings import Section
from pipeline.task import Pooling

WIDTH = 64
"""Outputs per frame of the temporal network, in place of classes; also the attention's width."""


@dataclass(frozen=True)
class KindOfVideos:
    """A kind of temporal network that gives one answer per video.

    Attributes:
        kind: Of the network that sees the frames.
        pooling: How its frames become one.
    """

    kind: Kind
    pooling: Pooling

    @property
    def Params(self) -> type[Section]:  # noqa: D102
        return self.kind.Params

    def build(self, dim: int, num_classes: int, params: Any) -> "VideoHead":
        """An untrained network.

        Args:
            dim: D, length of the feature vector.
            num_classes: C, or 1 for a number.
            params: Of the kind.
        """
        return VideoHead(self.kind.build(dim, WIDTH, params), num_classes, self.pooling)


class VideoHead(TemporalModule):
    """A temporal network with WIDTH outputs per frame, a weighted mean of them, a linear layer.

    Forward returns logits (B, 1, C) where the contract has (B, T, C), and `step` the answer so far.
    Of several refinements the last one is pooled, and what a paper adds to the loss over frames
    does not apply, because the outputs are no classes.

    Args:
        frames: WIDTH outputs per frame.
        num_classes: C, or 1 for a number.
        pooling: "attention", "mean" or "last".
    """

    receptive_field = None

    def __init__(self, frames: TemporalModule, num_classes: int, pooling: Pooling) -> None:
        super().__init__(frames.dim, num_classes)
        self.causal = frames.causal
        self.training_phases = frames.training_phases
        # Features are standardised here; the statistics of `frames` stay 0 and 1.
        self.frames = frames
        self.pooling = pooling
        if pooling == "attention":
            self.content = nn.Linear(WIDTH, WIDTH)
            self.gate = nn.Linear(WIDTH, WIDTH)
            self.score = nn.Linear(WIDTH, 1)
        self.answer = nn.Linear(WIDTH, num_classes)

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """Logits (B, 1, C) of whole videos; no state is carried from one part to the next."""
        frames, weights = self._weighted(features, mask)
        pooled = (weights[..., None] * frames).sum(dim=1)  # (B, W)
        return Outputs([self.answer(pooled)[:, None]], None)

    def attention(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """How much each frame counts: (B, T), 0 at padding, sum 1 for each video.

        Args:
            features: (B, T, D) float.
            mask: (B, T) bool, true for frames.
        """
        return self._weighted(features, mask)[1]

    def step(self, feature: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """The answer after one more frame, (B, C), from all frames so far.

        The weights of the past are kept as the logarithm of their sum, so that the mean can go on.
        """
        inner, past = (None, None) if state is None else state
        frame, inner = self.frames.step(self.standardise(feature), inner)
        pooled, total = frame, self._scores(frame)  # (B, W), (B,)
        if past is not None and self.pooling != "last":
            before, weight = past
            summed = torch.logaddexp(weight, total)
            pooled = before * (weight - summed).exp()[:, None]
            pooled = pooled + frame * (total - summed).exp()[:, None]
            total = summed
        return self.answer(pooled), (inner, (pooled, total))

    def begin_phase(self, name: str) -> None:
        """As the temporal network does; pooling and answer are trained in all phases."""
        self.frames.begin_phase(name)

    def _weighted(
        self, features: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs of the frames (B, T, W) and their weights (B, T)."""
        frames = self.frames(self.standardise(features), mask).logits[-1].float()
        counts = mask
        if self.pooling == "last":
            counts = mask & (mask.cumsum(dim=1) == mask.sum(dim=1, keepdim=True))
        scores = self._scores(frames).float().masked_fill(~counts, float("-inf"))
        return frames, scores.softmax(dim=1)

    def _scores(self, frames: torch.Tensor) -> torch.Tensor:
        """Scores (...) of frames (..., W); their softmax over time are the weights."""
        if self.pooling != "attention":
            return frames.new_zeros(frames.shape[:-1])
        gated = self.content(frames).tanh() * self.gate(frames).sigmoid()
        found: torch.Tensor = self.score(gated)[..., 0]
        return found
