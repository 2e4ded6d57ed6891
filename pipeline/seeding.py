"""Seeds for everything random, and derived ones so that no two uses share a stream."""

import hashlib
import random

import numpy as np


def derived_seed(seed: int, *names: str | int) -> int:
    """A seed in [0, 2**31) for one use of randomness, such as (seed, "epoch", 3)."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (CPU and every GPU)."""
    import torch

    random.seed(seed)
    np.random.seed(seed)  # for libraries that still draw from it
    torch.manual_seed(seed)
