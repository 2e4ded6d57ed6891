"""The store: finished results per video, by content, outside the outputs that DVC deletes.

`.store/<kind>/<fingerprint>.h5` below the main repository, also from the copies in which DVC runs
queued experiments. A killed run resumes from it, a new video costs one video, and going back to
earlier parameters costs nothing.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from types import ModuleType

from pipeline.atomic import replacing


def store_root() -> Path:
    """`.store` of the repository that DVC runs for, else of the current folder."""
    return Path(os.environ.get("DVC_ROOT") or ".") / ".store"


def fingerprint(**parts: object) -> str:
    """The name of a result: SHA-256 over everything that decides its bytes.

    Args:
        parts: Values that JSON can hold; their order does not matter.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def source_hash(*modules: ModuleType) -> str:
    """SHA-256 over the source files of the modules that decide the numbers."""
    digest = hashlib.sha256()
    for module in modules:
        text = Path(str(module.__file__)).read_bytes()
        digest.update(len(text).to_bytes(8, "big") + text)
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Store:
    """The results of one kind, "frames" or "features"."""

    def __init__(self, kind: str) -> None:
        self.folder = store_root() / kind

    def path(self, name: str) -> Path:
        """Where the result of this fingerprint lies, or will lie once it is finished."""
        return self.folder / f"{name}.h5"

    def has(self, name: str) -> bool:
        """Whether this result is finished."""
        return self.path(name).is_file()

    def fill(self, name: str, target: Path) -> None:
        """Put a finished result where a stage's output belongs.

        A reflink where the file system has them, else a copy. Never a hard link: whoever opened
        the output for writing would change the store.
        """
        with replacing(target) as partial:
            _reflink_or_copy(self.path(name), partial)
        # The time of last use, by which `store prune` decides.
        os.utime(self.path(name))


def _reflink_or_copy(source: Path, target: Path) -> None:
    try:
        from dvc_objects.fs.system import reflink

        reflink(str(source), str(target))  # type: ignore[no-untyped-call]
    except (ImportError, OSError):
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
