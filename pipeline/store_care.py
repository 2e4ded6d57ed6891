"""How large the store is, and what of it may go."""

import time
from pathlib import Path

from pipeline.atomic import is_abandoned
from pipeline.result_store import store_root

_DAY_S = 24 * 60 * 60


def describe() -> str:
    """One line per kind of result, and one for half-written files: their number and size."""
    results = {
        folder.name: [file for file in _files(folder) if not _partial(file)] for folder in _kinds()
    }
    everything = [file for folder in _kinds() for file in _files(folder)]
    results["partial"] = [file for file in everything if _partial(file)]
    lines = [_line(kind, files) for kind, files in results.items() if files]
    return "\n".join([*lines, _line("total", everything)])


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
        if (is_abandoned(file) if _partial(file) else file.stat().st_mtime < oldest)
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
    """Results and half-written ones; the empty files by which processes lock a result stay."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix != ".lock")


def _partial(file: Path) -> bool:
    return file.suffix == ".partial"


def _line(kind: str, files: list[Path]) -> str:
    return f"{kind:<10} {len(files):>6} files  {_size(files)}"


def _size(files: list[Path]) -> str:
    size = float(sum(file.stat().st_size for file in files))
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} TB"
