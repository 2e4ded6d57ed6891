"""Trained and adapted backbones in the store, by what decides them."""

from collections.abc import Callable
from pathlib import Path

from pipeline.result_store import Store

STORE = "backbone"
LIBRARIES = ("torch", "torchvision", "opencv-python-headless")
"""Those that compute: the network, the resize of validation frames, decoding and augmentation."""


def stored(name: str, make: Callable[[Path], None]) -> Path:
    """The file of a result; made where the store does not hold it yet.

    Args:
        name: Its fingerprint.
        make: Writes the file to the path it is given. Runs while no other process makes the same.
    """
    store = Store(STORE, "safetensors")
    if not store.has(name):
        with store.claimed(name) as missing:
            # Another process may have made it while this one waited.
            if missing:
                make(store.path(name))
    return store.used(name)
