"""Models from a folder, or from a bundle that is checked before anything in it is used.

Nothing of a bundle is run: weights are safetensors, the rest is JSON and text.
"""

import errno
import hashlib
import json
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from pipeline.bundle.contents import FILES, FORMAT_VERSION, MANIFEST, MODELS, NEEDED
from pipeline.errors import PipelineError

_LARGEST_MANIFEST = 1 << 20
_ENCRYPTED = 0x1
_CHUNK = 1 << 20


@contextmanager
def opened_models(path: Path) -> Iterator[Path]:
    """The folder of the two model files.

    Args:
        path: Such a folder, or a bundle; the files of a bundle are removed when the block ends.

    Raises:
        PipelineError: There is neither, or the bundle is damaged, foreign or dangerous.
    """
    if path.is_dir():
        yield path
        return
    if not path.is_file():
        raise PipelineError(
            f"{path}: not found. --model is the folder models/ of a project, or a file that "
            "`python -m pipeline bundle` wrote."
        )
    if not zipfile.is_zipfile(path):
        _refuse(path, "is no zip archive")
    with TemporaryDirectory(prefix="models-") as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                _unpack(archive, path, Path(folder))
        except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
            _refuse(path, f"is damaged ({error})")
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # An offset before the beginning: nothing that a disk could be blamed for.
            _refuse(path, "is damaged (a file in it begins outside the archive)")
        yield Path(folder)


def _unpack(archive: zipfile.ZipFile, path: Path, folder: Path) -> None:
    """Check everything in a bundle; write the models into a folder."""
    entries = archive.infolist()
    _check_entries(entries, path)
    listed = _read_manifest(archive, path)
    names = {entry.filename for entry in entries} - {MANIFEST}
    if names != set(listed):
        odd = sorted(names ^ set(listed))
        _refuse(path, f"its {MANIFEST} and its files differ in {', '.join(odd)}")
    for name in sorted(names):
        size = archive.getinfo(name).file_size
        digest = hashlib.sha256()
        target = folder / name
        with archive.open(name) as source, target.open("wb") as file:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
        if (size, digest.hexdigest()) != (listed[name].get("bytes"), listed[name].get("sha256")):
            _refuse(path, f"{name} is not what its {MANIFEST} says: damaged or altered")
        if name not in MODELS:
            target.unlink()


def _check_entries(entries: list[zipfile.ZipInfo], path: Path) -> None:
    """Look at names and sizes alone, before anything is read."""
    names = [entry.filename for entry in entries]
    for entry in entries:
        name = entry.filename
        if name not in (MANIFEST, *FILES):
            why = "leads out of the archive" if _leaves(name) else "does not belong there"
            _refuse(path, f"holds {name[:80]!r}, which {why}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & _ENCRYPTED:
            _refuse(path, f"{name} is compressed or encrypted, which no bundle is")
        if stat.S_ISLNK(entry.external_attr >> 16):
            _refuse(path, f"{name} is a link")
    if len(set(names)) != len(names):
        _refuse(path, "holds a file twice")
    missing = [name for name in (MANIFEST, *NEEDED) if name not in names]
    if missing:
        _refuse(path, f"lacks {', '.join(missing)}")
    declared, there = sum(entry.file_size for entry in entries), path.stat().st_size
    if declared > there:
        _refuse(path, f"declares {declared} bytes, but is {there} long")
    if next(entry.file_size for entry in entries if entry.filename == MANIFEST) > _LARGEST_MANIFEST:
        _refuse(path, f"its {MANIFEST} is too large")


def _leaves(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or name.startswith(("/", "\\")) or ":" in parts[0]


def _read_manifest(archive: zipfile.ZipFile, path: Path) -> Mapping[str, Mapping[str, Any]]:
    try:
        content = json.loads(archive.read(MANIFEST))
        version, files = content["format"], content["files"]
        known = all(isinstance(entry, dict) for entry in files.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        _refuse(path, f"its {MANIFEST} cannot be read")
    if version != FORMAT_VERSION:
        _refuse(path, f"has format {version!r}, this program reads {FORMAT_VERSION}")
    if not known:
        _refuse(path, f"its {MANIFEST} cannot be read")
    found: Mapping[str, Mapping[str, Any]] = files
    return found


def _refuse(path: Path, why: str) -> NoReturn:
    raise PipelineError(
        f"{path}: {why}. Nothing of it was used. Get the bundle anew, or make it with "
        "`python -m pipeline bundle`."
    )
