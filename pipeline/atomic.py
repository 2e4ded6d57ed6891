"""Files that are whole or absent: written beside their name, synced, then renamed."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import PipelineError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well, and vanishes otherwise.

    What a killed process left behind is overwritten by the next attempt of the same name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
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
