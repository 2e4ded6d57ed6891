"""The store: finished results by what decides them, outside the outputs that DVC deletes.

`.store/<kind>/<fingerprint>.<ending>` below the main repository, also from the copies in which DVC
runs queued experiments. A killed run resumes from it, a new video costs one video, and going back
to earlier parameters costs nothing.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.atomic import remove_abandoned, replacing


def store_root() -> Path:
    """`.store` of the repository that DVC runs for, else of the current folder."""
    return Path(os.environ.get("DVC_ROOT") or ".") / ".store"


def fingerprint(**parts: object) -> str:
    """The name of a result: SHA-256 over everything that decides its content.

    Args:
        parts: Values that JSON can hold; their order does not matter.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Store:
    """The results of one kind: frames, features, backbones or temporal models.

    Opening it removes what killed runs left half-written.

    Args:
        kind: Name of the folder.
        ending: Of the files, `h5` or `safetensors`.
    """

    def __init__(self, kind: str, ending: str = "h5") -> None:
        self.folder = store_root() / kind
        self._ending = ending
        remove_abandoned(self.folder)

    def path(self, name: str) -> Path:
        """Where the result of this fingerprint lies, or will lie once it is finished."""
        return self.folder / f"{name}.{self._ending}"

    def has(self, name: str) -> bool:
        """Whether this result is finished."""
        return self.path(name).is_file()

    def used(self, name: str) -> Path:
        """Where a finished result lies; notes the time of its use, by which `prune` decides."""
        os.utime(self.path(name))
        return self.path(name)

    def fill(self, name: str, target: Path, labels: Mapping[str, str] | None = None) -> None:
        """Put a finished result where a stage's output belongs.

        A reflink where the file system has them, else a copy. Never a hard link: whoever opened
        the output for writing would change the store.

        Args:
            name: Fingerprint.
            target: The output.
            labels: Attributes of the HDF5 file that name things but decide nothing, such as
                `video`. They are no part of the stored result, so that a renamed video keeps it.
        """
        with replacing(target) as partial:
            _reflink_or_copy(self.used(name), partial)
            if labels:
                import h5py

                with h5py.File(partial, "r+") as file:
                    for key in sorted(labels):
                        file.attrs[key] = labels[key]

    @contextmanager
    def claimed(self, name: str) -> Iterator[None]:
        """Be the only process on this machine that works on this result; others wait.

        Two workers of a DVC queue may come to the same training. The second one finds the result
        of the first when its turn comes, so look again inside the block.
        """
        from filelock import FileLock

        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / f"{name}.lock"):
            yield


def _reflink_or_copy(source: Path, target: Path) -> None:
    try:
        from dvc_objects.fs.system import reflink

        reflink(str(source), str(target))  # type: ignore[no-untyped-call]
    except (ImportError, OSError):
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
