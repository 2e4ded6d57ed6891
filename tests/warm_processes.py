"""New processes that start with the heavy libraries already loaded, in place of spawned ones.

Most of a small test that spawns processes goes into importing torch in each of them. Python's fork
server imports it once; what it forks knows as little of the test as a spawned process. The pipeline
itself is imported after the fork, from the paths of the test.
"""

import multiprocessing
import os
from multiprocessing import forkserver
from types import SimpleNamespace

import torch

_LIBRARIES = ("cv2", "dvclive", "h5py", "lightning_fabric", "pandas", "pydantic", "torchvision")

# Fabric forks nothing where a GPU is in use, and Windows has no fork.
_METHODS = multiprocessing.get_all_start_methods()
METHOD = "forkserver" if "forkserver" in _METHODS and not torch.cuda.is_available() else "spawn"


def warm_context():
    """The context of multiprocessing to start processes with."""
    context = multiprocessing.get_context(METHOD)
    if METHOD == "forkserver":
        context.set_forkserver_preload(list(_LIBRARIES))
        # The server outlives the test, and so would the project of the test.
        root = os.environ.pop("DVC_ROOT", None)
        try:
            forkserver.ensure_running()
        finally:
            if root is not None:
                os.environ["DVC_ROOT"] = root
    return context


def warm_multiprocessing():
    """What stands in for the module multiprocessing where code asks it for its context."""
    context = warm_context()
    return SimpleNamespace(get_context=lambda method: context)
