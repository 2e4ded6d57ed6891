"""models/backbone.safetensors of several frozen networks, whose features will lie side by side.

Each network keeps its own weights, transform and history: the file holds its tensors under
`parts.<number>.`, and the header an entry of `parts`. Such a header has no transform of its own,
which tells it from that of networks that were fused into one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

Tensors = dict[str, torch.Tensor]


def prefix(number: int) -> str:
    """What the names of a network's tensors begin with; numbers are from 0."""
    return f"parts.{number}."


def joined(parts: Sequence[Tensors]) -> Tensors:
    """The tensors of several networks as one file holds them."""
    return {
        prefix(number) + name: tensor
        for number, tensors in enumerate(parts)
        for name, tensor in tensors.items()
    }


def separated(tensors: Tensors, header: Mapping[str, Any]) -> list[tuple[Tensors, dict[str, Any]]]:
    """Tensors and header of each network that is run for itself.

    Args:
        tensors: Of models/backbone.safetensors.
        header: Of the same file.

    Returns:
        One pair per network, as the file of that network alone would hold it; of every other file,
        its own content as the only pair.
    """
    if "transform" in header:
        return [(tensors, dict(header))]
    common = {key: value for key, value in header.items() if key != "parts"}
    found = []
    for number, part in enumerate(header["parts"]):
        begin = prefix(number)
        own = {k.removeprefix(begin): t for k, t in tensors.items() if k.startswith(begin)}
        found.append((own, common | part))
    return found


def names_and_crops(header: Mapping[str, Any], crop: Any) -> list[tuple[str, int]]:
    """Each network that is run for itself, and the side of its images.

    Args:
        header: Of models/backbone.safetensors.
        crop: The attribute `crop` of a features file: one number, or one per network.
    """
    names = [header["name"]]
    if "transform" not in header:
        names = [part["name"] for part in header["parts"]]
    return list(zip(names, np.broadcast_to(crop, len(names)).tolist(), strict=True))
