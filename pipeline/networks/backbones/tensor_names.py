"""Tensors of one library under the names of another."""

import re
from collections.abc import Sequence

from pipeline.networks.backbones.contract import Tensors

Rules = Sequence[tuple[str, str]]
"""Regular expressions and what each is replaced by, applied one after the other."""


def renamed(tensors: Tensors, rules: Rules) -> Tensors:
    """The same tensors under other names."""
    found: Tensors = {}
    for name, tensor in tensors.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        found[name] = tensor
    return found


def split_qkv(tensors: Tensors) -> Tensors:
    """Joint weights and biases `qkv` of attention as `query`, `key` and `value`."""
    found: Tensors = {}
    for name, tensor in tensors.items():
        if ".qkv." not in name:
            found[name] = tensor
            continue
        for part, rows in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
            found[name.replace(".qkv.", f".{part}.")] = rows
    return found
