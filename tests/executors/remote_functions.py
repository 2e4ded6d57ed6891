"""What workers do in tests; a module that they can import."""

import os
import sys
import time
import uuid
from pathlib import Path

from pipeline.errors import PipelineError


def squared(number):
    print(f"squaring {number}", file=sys.stderr)
    if number == 3:
        raise PipelineError("3: found an odd number")
    return number * number


def noted_then_quick(folder):
    """Leave a file; only the first one ends soon."""
    first = not list(Path(folder).iterdir())
    (Path(folder) / f"{uuid.uuid4()}").touch()
    time.sleep(0.1 if first else 60)


def dying(folder):
    """Die at the first try, without a word."""
    if not list(Path(folder).iterdir()):
        (Path(folder) / "tried").touch()
        os._exit(1)
    return "done"


def dying_always(folder):
    (Path(folder) / f"{uuid.uuid4()}").touch()
    os._exit(1)


def counted_features(item):
    """Features of a video; each computation leaves a file with the video's name and the node."""
    from pipeline.features.elsewhere import _write

    _write_note("begun", item)
    time.sleep(0.5)
    note = _write(item)
    _write_note("done", item)
    return note


def _write_note(folder, item):
    import ray

    node = ray.get_runtime_context().get_node_id()
    path = Path(folder)
    path.mkdir(exist_ok=True)
    (path / f"{item.name}+{node}+{uuid.uuid4()}").touch()
