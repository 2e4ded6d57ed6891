"""The store: finished results by what decides them, outside the outputs that DVC deletes.

`.store/<kind>/<fingerprint>.<ending>` below the main repository, also from the copies in which DVC
runs queued experiments. A killed run resumes from it, a new video costs one video, and going back
to earlier parameters costs nothing.

With `runtime.store` a folder that machines share takes the place of `.store`, or a bucket of which
`.store` holds local copies. Any number of processes may write at once: results appear by renaming,
their SHA-256 lies beside them and is compared when they are read, and a lease (lease.py) sees to it
that no two make the same.
"""

import functools
import hashlib
import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pipeline.atomic import explained, remove_abandoned, replacing, write_text
from pipeline.errors import PipelineError
from pipeline.lease import LeaseFile, Place, leased
from pipeline.object_store import Bucket
from pipeline.paths import PARAMS
from pipeline.runtime import read_runtime

T = TypeVar("T")

SUM = ".sha256"
"""Behind the name of a result: the name of the file with its SHA-256, as `sha256sum -c` reads."""


def store_root() -> Path:
    """`.store` of the repository that DVC runs for, else of the current folder."""
    return Path(os.environ.get("DVC_ROOT") or ".") / ".store"


def results_root() -> Path:
    """Where results lie on a disk: the folder that runtime.store names, else `.store`.

    Raises:
        PipelineError: The folder that it names is not there.
    """
    named = _named()
    if not named or named.startswith("s3://"):
        return store_root()
    root = store_root().parent / Path(named).expanduser()
    if not root.is_dir():
        raise PipelineError(
            f"params.yaml: runtime.store: found {named}, but there is no such folder. Mount its "
            f"disk, or create it once: mkdir -p {root}"
        )
    return root


def _named() -> str:
    """The value of runtime.store; commands outside a project have none."""
    return read_runtime().store if PARAMS.is_file() else ""


def _bucket() -> Bucket | None:
    named = _named()
    return _opened(named) if named.startswith("s3://") else None


_opened = functools.cache(Bucket)


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


def is_whole(path: Path) -> bool:
    """Whether a result is finished and holds the bytes that were written.

    Results of earlier versions, without a checksum, are taken as they are. One that lies in
    `.store`, but not yet where runtime.store points to, is brought there; one that lies in a bucket
    only is fetched.
    """
    own, bucket = store_root() / path.parent.name / path.name, _bucket()
    found = _matches(path)
    if bucket is None:
        return found or (own != path and _matches(own) and _copied(own, path))
    if not found:
        return _fetched(bucket, path)
    if bucket.sha256(path) is None:
        bucket.publish(path, file_hash(path))
    return True


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Be the only process on all machines that works on a result; others wait.

    Two workers of a DVC queue, or two nodes, may come to the same one. The second finds the result
    of the first when its turn comes. What the block leaves at the path is sealed with its checksum,
    and uploaded where the store is a bucket.

    Args:
        path: Of the result, as Store.path gives it.

    Yields:
        Whether it is still missing.
    """
    bucket, work = _bucket(), f"{path.parent.name}/{path.name[:12]}"
    _make_folder(path.parent)
    with leased(_lease(bucket, path), work):
        missing = not is_whole(path)
        if missing:
            if path.is_file():
                print(
                    f"store: {work}: its bytes are not those that were written; making it again",
                    file=sys.stderr,
                )
            _sum_of(path).unlink(missing_ok=True)  # of no other bytes than those to come
        yield missing
        if missing and path.is_file():
            sha256 = _sealed(path)
            if bucket:
                bucket.publish(path, sha256)


def spread(items: Sequence[T], path_of: Callable[[T], Path]) -> list[T]:
    """Work in its order, or in a random one where other processes are at the same work.

    Else all of them would come to the same result, and each but one would wait.

    Args:
        items: What is missing.
        path_of: The result that an item leads to.
    """
    bucket, mixed = _bucket(), list(items)
    if any(_lease(bucket, path_of(item)).read() for item in items):
        random.SystemRandom().shuffle(mixed)
    return mixed


class Store:
    """The results of one kind: frames, features, backbones or temporal models.

    Opening it removes what killed runs left half-written.

    Args:
        kind: Name of the folder.
        ending: Of the files, `h5` or `safetensors`.
    """

    def __init__(self, kind: str, ending: str = "h5") -> None:
        self.folder = results_root() / kind
        self._ending = ending
        self._whole: set[str] = set()
        remove_abandoned(self.folder)

    def path(self, name: str) -> Path:
        """Where the result of this fingerprint lies, or will lie once it is finished."""
        return self.folder / f"{name}.{self._ending}"

    def has(self, name: str) -> bool:
        """Whether this result is finished and whole, as is_whole tells; read once for that."""
        if name not in self._whole and is_whole(self.path(name)):
            self._whole.add(name)
        return name in self._whole

    def used(self, name: str) -> Path:
        """Where a finished result lies; notes the time of its use, by which `prune` decides."""
        with suppress(PermissionError):  # a colleague's, who alone may set its times
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

    def claimed(self, name: str) -> AbstractContextManager[bool]:
        """As the function, by name."""
        return claimed(self.path(name))


def _lease(bucket: Bucket | None, path: Path) -> Place:
    return bucket.lease(path) if bucket else LeaseFile(path.with_name(f"{path.name}.lease"))


def _matches(path: Path) -> bool:
    """Whether a file is there, with the bytes of its checksum if it has one."""
    with explained(path):
        if not path.is_file():
            return False
        try:
            expected = _sum_of(path).read_text(encoding="ascii").split()[:1]
        except FileNotFoundError:
            return True
        return [file_hash(path)] == expected


def _sealed(path: Path) -> str:
    """Write the checksum of a result beside it, and let read and write it who may its folder."""
    mode = path.parent.stat().st_mode & 0o666
    path.chmod(mode)  # at once: others may have seen it already
    sha256 = file_hash(path)
    write_text(_sum_of(path), f"{sha256}  {path.name}\n")
    _sum_of(path).chmod(mode)
    return sha256


def _copied(own: Path, path: Path) -> bool:
    _make_folder(path.parent)
    with replacing(path) as partial:
        _reflink_or_copy(own, partial)
    _sealed(path)
    return True


def _fetched(bucket: Bucket, path: Path) -> bool:
    expected = bucket.sha256(path)
    if expected is None:
        return False
    try:
        with replacing(path) as partial:
            bucket.fetch(path, partial)
            if file_hash(partial) != expected:
                raise _Damaged
    except _Damaged:
        return False
    _sealed(path)
    return True


class _Damaged(Exception):
    """Downloaded bytes are not those that were uploaded."""


def _make_folder(folder: Path) -> None:
    """Make a kind's folder for whom the store is for, whatever the umask of who comes first."""
    with explained(folder / "a result"):
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(folder.parent.stat().st_mode & 0o7777)


def _sum_of(path: Path) -> Path:
    return path.with_name(path.name + SUM)


def _reflink_or_copy(source: Path, target: Path) -> None:
    try:
        from dvc_objects.fs.system import reflink

        reflink(str(source), str(target))  # type: ignore[no-untyped-call]
    except (ImportError, OSError):
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
