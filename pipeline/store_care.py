"""How large the store is, and what of it may go."""

import time
from pathlib import Path

from pipeline.result_store import store_root

_DAY_S = 24 * 60 * 60


def describe() -> str:
    """One line per kind of result: number of files and their size."""
    lines = [
        f"{folder.name:<10} {len(files):>6} files  {_size(files)}"
        for folder in _kinds()
        if (files := _files(folder))
    ]
    everything = [file for folder in _kinds() for file in _files(folder)]
    return "\n".join([*lines, f"{'total':<10} {len(everything):>6} files  {_size(everything)}"])


def prune(keep_days: float, dry_run: bool = False) -> str:
    """Remove what was not used for `keep_days` days, and what killed runs left half-written.

    A result counts as used whenever a stage puts it into its output. Nothing is lost for good: a
    stage computes again what it misses.

    Returns:
        One line for the terminal.
    """
    oldest = time.time() - keep_days * _DAY_S
    going = [
        file
        for folder in _kinds()
        for file in _files(folder)
        # A partial file younger than a day may belong to a run that is still going.
        if file.stat().st_mtime < (time.time() - _DAY_S if _partial(file) else oldest)
    ]
    text = f"{len(going)} files, {_size(going)}"
    if dry_run:
        return f"would remove {text}"
    for file in going:
        file.unlink(missing_ok=True)
    return f"removed {text}"


def _kinds() -> list[Path]:
    root = store_root()
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _partial(file: Path) -> bool:
    return file.suffix == ".partial"


def _size(files: list[Path]) -> str:
    size = float(sum(file.stat().st_size for file in files))
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} TB"
