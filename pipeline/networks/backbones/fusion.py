"""How the features of several networks become one vector.

Each takes the vectors of P networks, (B, dim of that network), and gives (B, `dim`). Which one
`backbone.fusion` names, `FUSIONS` says.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn

WIDTH = 512
"""Of the vectors that networks are projected to, where they must agree on one."""

_HEADS = 8


class Concat(nn.Module):
    """The vectors side by side; no weights.

    Args:
        dims: Length of each network's vector.
    """

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.dim = sum(dims)

    def forward(self, vectors: Sequence[torch.Tensor]) -> torch.Tensor:
        """(B, sum of the dims)."""
        return torch.cat(tuple(vectors), dim=1)


class Bottleneck(nn.Module):
    """The vectors side by side, through a linear layer and ReLU to WIDTH numbers.

    Args:
        dims: As of Concat.
    """

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.dim = WIDTH
        self.reduce = nn.Linear(sum(dims), WIDTH)

    def forward(self, vectors: Sequence[torch.Tensor]) -> torch.Tensor:
        """(B, WIDTH)."""
        reduced: torch.Tensor = self.reduce(torch.cat(tuple(vectors), dim=1))
        return reduced.relu()


class Add(nn.Module):
    """Each vector projected to WIDTH numbers, and all added.

    Args:
        dims: As of Concat.
    """

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.dim = WIDTH
        self.project = nn.ModuleList(nn.Linear(dim, WIDTH) for dim in dims)

    def forward(self, vectors: Sequence[torch.Tensor]) -> torch.Tensor:
        """(B, WIDTH)."""
        projected = [layer(x) for layer, x in zip(self.project, vectors, strict=True)]
        return torch.stack(projected).sum(dim=0)


class Gate(nn.Module):
    """A weighted sum of the projected vectors, with weights for each number from all of them.

    After Arevalo et al., "Gated Multimodal Units for Information Fusion", 2017, without the tanh on
    the projections. The weights are a softmax over the networks, which for two of them is the
    sigmoid of the paper.

    Args:
        dims: As of Concat.
    """

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.dim = WIDTH
        self.project = nn.ModuleList(nn.Linear(dim, WIDTH) for dim in dims)
        self.gate = nn.Linear(sum(dims), len(dims) * WIDTH)

    def forward(self, vectors: Sequence[torch.Tensor]) -> torch.Tensor:
        """(B, WIDTH)."""
        projected = [layer(x) for layer, x in zip(self.project, vectors, strict=True)]
        logits = self.gate(torch.cat(tuple(vectors), dim=1)).unflatten(1, (len(projected), WIDTH))
        weights: torch.Tensor = logits.softmax(dim=1)
        return (weights * torch.stack(projected, dim=1)).sum(dim=1)


class CrossAttention(nn.Module):
    """Each network's map attends to the maps of the others; what it finds joins its own vector.

    One layer of attention per network (Vaswani et al., "Attention Is All You Need", 2017), with the
    places of its last map as queries and those of the other networks as keys and values, without
    positions: the average over the queries, which is taken at the end, does not know them either.

    Args:
        dims: As of Concat.
        channels: Of the last map of each network.
    """

    def __init__(self, dims: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        self.dim = WIDTH * len(dims)
        self.project = nn.ModuleList(nn.Linear(dim, WIDTH) for dim in dims)
        self.tokens = nn.ModuleList(nn.Linear(count, WIDTH) for count in channels)
        self.attend = nn.ModuleList(
            nn.MultiheadAttention(WIDTH, _HEADS, batch_first=True) for _ in dims
        )

    def forward(
        self, vectors: Sequence[torch.Tensor], maps: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """(B, P WIDTH).

        Args:
            vectors: As of the others.
            maps: (B, channels, h, w) of each network; h and w may differ.
        """
        tokens = [
            layer(seen.flatten(2).transpose(1, 2))  # (B, places, WIDTH)
            for layer, seen in zip(self.tokens, maps, strict=True)
        ]
        fused = []
        for number, attend in enumerate(self.attend):
            others = torch.cat([*tokens[:number], *tokens[number + 1 :]], dim=1)
            found, _ = attend(tokens[number], others, others, need_weights=False)
            fused.append(self.project[number](vectors[number]) + found.mean(dim=1))
        return torch.cat(fused, dim=1)


VectorFusion = Concat | Bottleneck | Add | Gate

FUSIONS: dict[str, Callable[[Sequence[int]], VectorFusion] | type[CrossAttention]] = {
    "concat": Concat,
    "bottleneck": Bottleneck,
    "add": Add,
    "gate": Gate,
    "cross_attention": CrossAttention,
}
"""The values of backbone.fusion."""
