"""Networks with one answer per video as a graph over the whole video."""

from collections.abc import Sequence
from copy import deepcopy
from typing import cast

import torch
from torch import nn

from pipeline.export.state import flat, nested
from pipeline.export.step import with_fixed_state
from pipeline.export.whole import of_any_length
from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.networks.temporal.ensemble import Ensemble
from pipeline.networks.temporal.video_head import VideoHead


class EveryStep(TemporalModule):
    """A causal network over one video of any length: a loop over its steps, Scan in ONNX.

    Args:
        network: With a state of fixed size, all zeros at a video's start.
    """

    def __init__(self, network: TemporalModule) -> None:
        super().__init__(network.dim, network.num_classes)
        del self.standardise  # the network has its own
        self.network = network
        self.causal, self.receptive_field = network.causal, network.receptive_field
        with torch.no_grad():
            _, self.like = network.step(torch.zeros(1, network.dim))

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """Logits (1, T, C) of features (1, T, D)."""
        from torch._higher_order_ops.scan import scan

        def one(
            carried: tuple[torch.Tensor, ...], feature: torch.Tensor
        ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
            logits, after = self.network.step(feature, nested(self.like, iter(carried)))
            # An operator returns no view, and something is carried by networks without a state too.
            kept = flat(after) or list(carried)
            return tuple(_anew(tensor) for tensor in kept), _anew(logits)

        blank = [torch.zeros(tensor.shape) for tensor in flat(self.like)]
        start = tuple(blank or [features.new_zeros(1)])
        _, logits = scan(one, start, features.transpose(0, 1).clone())
        return Outputs([logits.transpose(0, 1)], None)


def _anew(tensor: torch.Tensor) -> torch.Tensor:
    """A copy that lies in memory as the first state does."""
    return tensor.clone(memory_format=torch.contiguous_format)


class WholeVideoHead(VideoHead):
    """A network with one answer per video, which also tells how much each frame counted."""

    def both(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (1, T, D) to logits (1, C) and attention (1, T)."""
        every = torch.ones(features.shape[:2], dtype=torch.bool)
        frames, weights = self._weighted(features, every)
        return self.answer((weights[..., None] * frames).sum(dim=1)), weights


class Answers(nn.Module):
    """Networks that answer together: features (1, T, D) to logits (M, C) and attention (M, T)."""

    def __init__(self, members: Sequence[WholeVideoHead]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See the class."""
        each = [cast(WholeVideoHead, member).both(features) for member in self.members]
        return torch.cat([logits for logits, _ in each]), torch.cat([own for _, own in each])


def answers_of(network: TemporalModule) -> Answers:
    """The networks of a model file in a form for one video of any length, in evaluation mode.

    Args:
        network: A VideoHead, or several.
    """
    members = list(network.members) if isinstance(network, Ensemble) else [network]
    return Answers([_any_length(cast(VideoHead, member)) for member in members]).eval()


def _any_length(head: VideoHead) -> WholeVideoHead:
    copied = deepcopy(head).requires_grad_(False)
    copied.frames = _frames(head.frames)
    copied.__class__ = WholeVideoHead
    return cast(WholeVideoHead, copied)


def _frames(network: TemporalModule) -> TemporalModule:
    """The network that sees the frames; torch's recurrent layers cannot be captured in a loop."""
    is_recurrent = any(isinstance(part, nn.RNNBase) for part in network.modules())
    if network.causal and not is_recurrent:
        return EveryStep(with_fixed_state(network))
    return of_any_length(network)
