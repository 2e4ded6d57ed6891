"""SHA-256 of the videos, remembered by path, size and time of change."""

import json
from pathlib import Path

from pipeline.atomic import write_text
from pipeline.progress import Mode, Progress
from pipeline.result_store import file_hash, store_root


def content_hashes(files: list[Path], mode: Mode = "auto") -> dict[Path, str]:
    """The SHA-256 of each file, in hexadecimal; only files that changed are read.

    Remembered in `.store/hashes.json`, which may be removed at any time.
    """
    cache = store_root() / "hashes.json"
    known = _read(cache)
    result = {}
    stamps = {file: _stamp(file) for file in files}
    new = [file for file in files if known.get(str(file.resolve()), [None])[0] != stamps[file]]
    with Progress("hash", len(new), mode) as progress:
        for file in files:
            key = str(file.resolve())
            if file in new:
                known[key] = [stamps[file], file_hash(file)]
                progress.step(file.name)
                # Kept one by one: hashing 80 operations takes minutes.
                write_text(cache, json.dumps(known, indent=0, sort_keys=True))
            result[file] = known[key][1]
    return result


def _stamp(file: Path) -> str:
    status = file.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _read(cache: Path) -> dict[str, list[str]]:
    try:
        content = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
