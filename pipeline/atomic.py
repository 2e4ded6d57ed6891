"""Files that are whole or absent: written beside their name, synced, then renamed.

That is all that disks and network file systems promise alike, so nothing here locks a file.
"""

import errno
import functools
import hashlib
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import PipelineError

_PARTIAL = re.compile(
    r"\..+\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)(-(?P<writer>[0-9a-f]{8}))?\.partial"
)
_HOUR_S = 60 * 60
_DAY_S = 24 * _HOUR_S

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well, and vanishes otherwise.

    A killed process leaves the temporary file behind. Its name says which process on which machine
    it belonged to, so that `remove_abandoned` can tell, and no two writers share one.

    Raises:
        PipelineError: The disk is full, or this user may not write there.
    """
    writer = f"{machine()}-{os.getpid()}-{secrets.token_hex(4)}"
    partial = path.with_name(f".{path.name}.{writer}.partial")
    try:
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            _sync(partial)
            os.replace(partial, path)
            # The new name is on the disk only when its folder is.
            with suppress(OSError):  # Windows opens no folders, and some file systems sync none
                _sync(path.parent)
    finally:
        with suppress(OSError):  # gone, or the disk that failed just now
            partial.unlink()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say what to do where a disk is full or a folder belongs to somebody else.

    Raises:
        PipelineError: In place of the system's error.
    """
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        # HDF5 and safetensors wrap the system's error in words of their own.
        code, words = getattr(error, "errno", None), str(error)
        if code in _FULL or "No space left" in words or "quota exceeded" in words:
            raise PipelineError(
                f"{path.parent}: no space left on this disk for {path.name}. What was finished "
                "is kept. Free some space (`python -m pipeline store prune`), then run again."
            ) from None
        forbidden = code in _FORBIDDEN or "Permission denied" in words
        if forbidden and _is_about(error, path):
            raise PipelineError(
                f"{path.parent}: this user may not read or write {path.name} there. What was "
                "finished is kept. Let the folder's owner give your group the right to write "
                "(`chmod g+ws FOLDER`), or name another folder, then run again."
            ) from None
        raise


def _is_about(error: Exception, path: Path) -> bool:
    """Whether an error is of the file that is written, and not of one that is read meanwhile."""
    filename = getattr(error, "filename", None)
    if filename is None:
        return True
    named = Path(os.fsdecode(filename))
    return named.parent == path.parent or named in path.parents


def write_text(path: Path, text: str) -> None:
    r"""Write a UTF-8 text with `\n` line ends."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder."""
    for partial in folder.glob(".*.partial"):
        # Another process may remove it, or finish it, at the same moment; a colleague's may stay.
        with suppress(FileNotFoundError, PermissionError):
            if is_abandoned(partial):
                partial.unlink()


def is_abandoned(partial: Path) -> bool:
    """Whether nobody writes this temporary file any more.

    Of another machine's files on a shared disk only the age tells: after a day without a write.
    """
    written = partial.stat().st_mtime
    name = _PARTIAL.fullmatch(partial.name)
    if name is None or name["machine"] != machine():
        return written < time.time() - _DAY_S
    # A process that began after the file was written has got the number of the dead one. The hour
    # is for network disks, whose clocks differ.
    return has_ended(int(name["process"]), began_before=written + _HOUR_S)


def has_ended(process: int, began_before: float | None = None) -> bool:
    """Whether a process of this machine is no more; False where the system does not tell.

    Args:
        process: Its number.
        began_before: Seconds since 1970; one that began later is another with the same number.
    """
    import psutil

    try:
        found = psutil.Process(process)
        reused = began_before is not None and bool(found.create_time() > began_before)
        return reused or bool(found.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


@functools.cache
def machine() -> str:
    """Eight hexadecimal digits for what numbers this process: a host, or a container on it.

    Names of hosts are not unique, nor are the numbers of namespaces: every node may be called
    localhost. The system's identifier of this boot is.
    """
    parts = [socket.gethostname()]
    with suppress(OSError):  # not Linux
        parts.append(os.readlink("/proc/self/ns/pid"))
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:8]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
