"""How large the store is, and what of it may go."""

import time
from contextlib import suppress
from pathlib import Path

from pipeline.atomic import is_abandoned
from pipeline.result_store import SUM, results_root, store_root

_DAY_S = 24 * 60 * 60
# Of earlier versions too: .lock.
_BESIDE = {SUM, ".lease", ".lock"}


def describe() -> str:
    """One line per kind of result, and one for half-written files: their number and size."""
    results: dict[str, list[Path]] = {}
    for folder in _kinds():
        results.setdefault(folder.name, []).extend(f for f in _files(folder) if not _partial(f))
    everything = [file for folder in _kinds() for file in _files(folder)]
    results["partial"] = [file for file in everything if _partial(file)]
    lines = [_line(kind, files) for kind, files in results.items() if files]
    return "\n".join([*lines, _line("total", everything)])


def prune(keep_days: float, dry_run: bool = False) -> str:
    """Remove what was not used for `keep_days` days, and what killed runs left half-written.

    A result counts as used whenever a stage puts it into its output. Nothing is lost for good: a
    stage computes again what it misses, or fetches it where the store is a bucket, of which only
    the local copies go.

    Returns:
        One line for the terminal.
    """
    oldest = time.time() - keep_days * _DAY_S
    going = [file for folder in _kinds() for file in _files(folder) if _may_go(file, oldest)]
    text = f"{len(going)} files, {_size(going)}"
    if dry_run:
        return f"would remove {text}"
    for file in going:
        # The result before its checksum: without one, damage would not be seen.
        file.unlink(missing_ok=True)
        file.with_name(file.name + SUM).unlink(missing_ok=True)
    return f"removed {text}"


def _may_go(file: Path, oldest: float) -> bool:
    with suppress(FileNotFoundError):  # somebody else removed it just now
        return is_abandoned(file) if _partial(file) else file.stat().st_mtime < oldest
    return False


def _kinds() -> list[Path]:
    """The folders of results, and those in `.store` that belong to this project alone."""
    roots = dict.fromkeys((store_root(), results_root()))
    return [
        path for root in roots if root.is_dir() for path in sorted(root.iterdir()) if path.is_dir()
    ]


def _files(folder: Path) -> list[Path]:
    """Results and half-written ones, without the small files by which processes agree on them."""
    return sorted(
        path for path in folder.iterdir() if path.is_file() and path.suffix not in _BESIDE
    )


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
