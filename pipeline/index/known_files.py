"""Hash and probe of each video file, remembered, so that only files that changed are read."""

import base64
import importlib.metadata
import json
import time
import zlib
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from pipeline.atomic import remove_abandoned, write_text
from pipeline.code_identity import code_hash
from pipeline.index import probe as probing
from pipeline.index.codec import codec_of
from pipeline.index.probe import Probe, probe
from pipeline.progress import Mode, Progress
from pipeline.result_store import file_hash, store_root

# A killed run loses what it learnt in this time. Reading 80 operations takes minutes.
_SAVE_EVERY_S = 5


class KnownFiles:
    """What was read from video files, by path, size and time of change.

    Kept in `.store/videos.json`, which may be removed at any time. Save it by leaving the `with`
    block.
    """

    def __init__(self) -> None:
        self._path = store_root() / "videos.json"
        remove_abandoned(self._path.parent)
        # Another version of the demuxer may list other packets.
        self._reader = f"{code_hash(probing)} av {importlib.metadata.version('av')}"
        self._records = _read(self._path)
        self._changed = False
        self._saved_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._changed:
            self._save()

    def probe(self, file: Path) -> Probe:
        """What is in a video file."""
        record = self._record(file)
        if record.get("reader") != self._reader:
            record["probe"] = _packed(probe(file))
            record["reader"] = self._reader
            self._note_change()
        return _unpacked(record["probe"])

    def codec(self, file: Path) -> str:
        """How a video file is coded."""
        record = self._record(file)
        if "codec" not in record:
            record["codec"] = codec_of(file)
            self._note_change()
        return str(record["codec"])

    def sha256(self, files: list[Path], mode: Mode = "auto") -> dict[Path, str]:
        """The SHA-256 of each file, in hexadecimal."""
        unread = [file for file in files if "sha256" not in self._record(file)]
        with Progress("hash", len(unread), mode) as progress:
            for file in unread:
                self._record(file)["sha256"] = file_hash(file)
                progress.step(file.name)
                self._note_change()
        return {file: str(self._record(file)["sha256"]) for file in files}

    def _record(self, file: Path) -> dict[str, Any]:
        """What is known of a file as it is now."""
        status = file.stat()
        stamp = f"{status.st_size} {status.st_mtime_ns}"
        record = self._records.setdefault(str(file.resolve()), {})
        if record.get("stamp") != stamp:
            record.clear()
            record["stamp"] = stamp
        return record

    def _note_change(self) -> None:
        self._changed = True
        if time.monotonic() - self._saved_at > _SAVE_EVERY_S:
            self._save()

    def _save(self) -> None:
        write_text(self._path, json.dumps(self._records, indent=0, sort_keys=True))
        self._changed = False
        self._saved_at = time.monotonic()


def _packed(found: Probe) -> dict[str, Any]:
    """A probe as JSON holds it: presentation times as compressed differences, a byte or so each."""
    ticks = np.diff(np.round(np.array(found.frame_times_s) * 1e6).astype(np.int64), prepend=0)
    packed = base64.b64encode(zlib.compress(ticks.astype("<i8").tobytes())).decode("ascii")
    return asdict(replace(found, frame_times_s=())) | {
        "frame_times_s": packed if found.frame_times_s else ""
    }


def _unpacked(packed: dict[str, Any]) -> Probe:
    text = packed["frame_times_s"]
    ticks = np.frombuffer(zlib.decompress(base64.b64decode(text)) if text else b"", "<i8")
    return Probe(**packed | {"frame_times_s": tuple((np.cumsum(ticks) / 1e6).tolist())})


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    known = isinstance(content, dict) and all(isinstance(v, dict) for v in content.values())
    return content if known else {}
