"""The CNN with a head of phases and, where there are labels, one of tools."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from pipeline.networks.backbones.cnn import build_cnn, feature_size
from pipeline.networks.backbones.transform import Transform

# Of the published two-layer head.
_HIDDEN = 1024
_DROPOUT = 0.5


class FrameClassifier(nn.Module):
    """Images (B, 3, H, W) uint8 to phase logits (B, C) and tool logits (B, K).

    Args:
        name: Architecture of the CNN.
        transform: Mean and scale of the pixels.
        phases: C.
        tools: K, or 0.
        head: "linear" or "mlp".
        checkpointing: Recompute each child's activations in the backward pass.
    """

    def __init__(
        self,
        name: str,
        transform: Transform,
        phases: int,
        tools: int,
        head: str,
        checkpointing: bool,
    ) -> None:
        super().__init__()
        self.cnn = build_cnn(name)
        self.transform = transform
        self.checkpointing = checkpointing
        width = feature_size(name)
        self.phases: nn.Module = nn.Linear(width, phases)
        if head == "mlp":
            self.phases = nn.Sequential(
                nn.Linear(width, _HIDDEN),
                nn.ReLU(),
                nn.Dropout(_DROPOUT),
                nn.Linear(_HIDDEN, phases),
            )
        self.tools = nn.Linear(width, tools) if tools else None

    def children_of_cnn(self) -> list[nn.Module]:
        """What the strategies freeze, from the image to the top, without pooling and classifier.

        A ResNet's own children (stem: conv, norm, ReLU, pool; then four layers); of an
        EfficientNet those of its `features`, which is all that it has.
        """
        features = getattr(self.cnn, "features", None)
        if isinstance(features, nn.Sequential):
            return list(features)
        return [child for name, child in self.cnn.named_children() if name not in ("avgpool", "fc")]

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of phases (B, C) and tools (B, K)."""
        x = self.transform.normalise(images).contiguous(memory_format=torch.channels_last)
        for child in self.children_of_cnn():
            if self.checkpointing and any(p.requires_grad for p in child.parameters()):
                contexts = partial(_contexts, child)
                x = checkpoint(child, x, use_reentrant=False, context_fn=contexts)
            else:
                x = child(x)
        features = torch.flatten(self.cnn.avgpool(x), 1)  # type: ignore[operator]
        tools = features[:, :0] if self.tools is None else self.tools(features)
        return self.phases(features), tools


def batch_norms(module: nn.Module) -> Iterator[nn.BatchNorm2d]:
    """The batch norms of a network."""
    return (m for m in module.modules() if isinstance(m, nn.BatchNorm2d))


def _contexts(
    child: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _without_statistics(child)


@contextmanager
def _without_statistics(child: nn.Module) -> Iterator[None]:
    """Activations that are computed again must not move the running statistics a second time."""
    # Momentum 0 adds nothing; without tracking, other tensors would be saved than the first time.
    norms = [(norm, norm.momentum) for norm in batch_norms(child) if norm.training]
    for norm, _ in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in norms:
            norm.momentum = momentum
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked -= 1
