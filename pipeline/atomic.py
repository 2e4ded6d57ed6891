"""Files that are whole or absent: written beside their name, synced, then renamed."""

import errno
import functools
import hashlib
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import PipelineError

_PARTIAL = re.compile(r"\..+\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)\.partial")
_HOUR_S = 60 * 60
_DAY_S = 24 * _HOUR_S


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well, and vanishes otherwise.

    A killed process leaves the temporary file behind. Its name says which process on which machine
    it belonged to, so that `remove_abandoned` can tell.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{_machine()}-{os.getpid()}.partial")
    try:
        yield partial
        descriptor = os.open(partial, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:
        # HDF5 and safetensors wrap the system's error in words of their own.
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
            raise PipelineError(
                f"{path.parent}: no space left on this disk for {path.name}. What was finished "
                "is kept. Free some space (`python -m pipeline store prune`), then run again."
            ) from None
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    r"""Write a UTF-8 text with `\n` line ends."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder."""
    for partial in folder.glob(".*.partial"):
        # Another process may remove it, or finish it, at the same moment.
        with suppress(FileNotFoundError):
            if is_abandoned(partial):
                partial.unlink()


def is_abandoned(partial: Path) -> bool:
    """Whether nobody writes this temporary file any more.

    Of another machine's files on a shared disk only the age tells: after a day without a write.
    """
    written = partial.stat().st_mtime
    name = _PARTIAL.fullmatch(partial.name)
    if name is None or name["machine"] != _machine():
        return written < time.time() - _DAY_S
    import psutil

    try:
        process = psutil.Process(int(name["process"]))
        # A process that began after the file was written has got the number of the dead one. The
        # hour is for network disks, whose clocks differ.
        reused = bool(written < process.create_time() - _HOUR_S)
        return reused or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:  # the system does not tell
        return False


@functools.cache
def _machine() -> str:
    """Eight hexadecimal digits for what numbers this process: a host, or a container on it."""
    try:
        processes = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        processes = ""
    return hashlib.sha256(f"{socket.gethostname()} {processes}".encode()).hexdigest()[:8]
