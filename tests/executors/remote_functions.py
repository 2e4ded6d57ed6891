"""What workers do in tests; a module that they can import."""

import os
import signal
import sys
import time
import uuid
from pathlib import Path

from pipeline.atomic import replacing
from pipeline.errors import PipelineError
from pipeline.frames.container import write_container
from pipeline.result_store import claimed


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


def seen_gpu(folder):
    """Which GPU a task is told to use, and how much of it; two of them wait for each other."""
    import ray

    (Path(folder) / f"{uuid.uuid4()}").touch()
    deadline = time.monotonic() + 60
    while len(list(Path(folder).iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    together = len(list(Path(folder).iterdir()))
    share = ray.get_runtime_context().get_assigned_resources()["GPU"]
    return os.environ["CUDA_VISIBLE_DEVICES"], share, together


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


def frames_of_the_first(extraction):
    """Write the frames of video a; hang at the others, and say in which process."""
    if extraction.video != "a":
        Path(f"hangs+{os.getpid()}").touch()
        time.sleep(60)
    return write_container(extraction)


def frames_killed_once(extraction):
    """Be killed at a worker's first try, as the kernel does it for memory, in the midst of it."""
    import ray

    if ray.get_runtime_context().get_task_id() and not Path("killed").exists():
        Path("killed").touch()
        with claimed(extraction.target), replacing(extraction.target) as partial:
            partial.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    return write_container(extraction)
