"""The backbone with a head of classes and, where there are labels, one of tools."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.memory_format import images_channels_last
from pipeline.networks.backbones.transform import Transform

# Of the published two-layer head.
_HIDDEN = 1024
_DROPOUT = 0.5


class FrameClassifier(nn.Module):
    """Images (B, 3, H, W) or clips (B, L, 3, H, W), uint8, to logits (B, C) and of tools (B, K).

    Args:
        backbone: Network, blocks and pool.
        transform: Mean and scale of the pixels.
        num_classes: C.
        num_tools: K, or 0.
        head: "linear" or "mlp".
        checkpointing: Recompute each block's activations in the backward pass.
    """

    def __init__(
        self,
        backbone: Backbone,
        transform: Transform,
        num_classes: int,
        num_tools: int,
        head: Literal["linear", "mlp"],
        checkpointing: bool,
    ) -> None:
        super().__init__()
        self.backbone = backbone.network
        self.transform = transform
        # Blocks and pool are parts of the network, whose weights must not get a second name here.
        self._parts = backbone
        self._checkpointing = checkpointing
        self.head: nn.Module = nn.Linear(backbone.dim, num_classes)
        if head == "mlp":
            self.head = nn.Sequential(
                nn.Linear(backbone.dim, _HIDDEN),
                nn.ReLU(),
                nn.Dropout(_DROPOUT),
                nn.Linear(_HIDDEN, num_classes),
            )
        self.tool_head = nn.Linear(backbone.dim, num_tools) if num_tools else None

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """Of the backbone, from the image to the top."""
        return self._parts.blocks()

    @property
    def pool(self) -> nn.Module:
        """From the last block to the features."""
        return self._parts.pool

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of classes (B, C) and tools (B, K)."""
        x = images_channels_last(self.transform.normalise(images))
        for block in self.blocks:
            if self._checkpointing and any(p.requires_grad for p in block.parameters()):
                contexts = partial(_contexts, block)
                x = checkpoint(block, x, use_reentrant=False, context_fn=contexts)
            else:
                x = block(x)
        features = self.pool(x)
        tools = features[:, :0] if self.tool_head is None else self.tool_head(features)
        return self.head(features), tools

    def synchronise_batch_norm(self) -> None:
        """Let each batch norm take mean and variance over the GPUs of all processes.

        Call it before an optimizer takes the parameters. Names in the state of the network stay.
        """
        nn.SyncBatchNorm.convert_sync_batchnorm(self.backbone)  # type: ignore[no-untyped-call]


def batch_norms(module: nn.Module) -> Iterator[_BatchNorm]:
    """The batch norms of a network; a transformer has none."""
    return (m for m in module.modules() if isinstance(m, _BatchNorm))


def _contexts(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _without_statistics(block)


@contextmanager
def _without_statistics(block: nn.Module) -> Iterator[None]:
    """Activations that are computed again must not move the running statistics a second time."""
    # Momentum 0 adds nothing; without tracking, other tensors would be saved than the first time.
    norms = [(norm, norm.momentum) for norm in batch_norms(block) if norm.training]
    for norm, _ in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in norms:
            norm.momentum = momentum
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked -= 1
