"""A project folder for one video, and the pipeline's commands run in it as whole processes."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from pipeline.tables import write_table

_ROOT = Path(__file__).parents[1]
_IN_FOLDER = 'cd "$0" && exec "$@" >/dev/null 2>log.txt'


def make_project(folder: Path, video: Path, changes: dict[str, dict[str, Any]]) -> None:
    """Parameters as in this repository, with changes, and an index that names one video."""
    params = yaml.safe_load((_ROOT / "params.yaml").read_text())
    for section, values in {"data": {"root": str(video.parent)}, **changes}.items():
        params[section] |= values
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    row = {"video": "v", "path": video.name, "sha256": "0", "width": 0, "height": 0}
    row |= {"fps": 0, "frames": 0, "duration_s": 0, "problem": ""}
    write_table(pd.DataFrame([row]), folder / "data/index/videos.csv")


def run_command(folder: Path, *command: str) -> tuple[float, float]:
    """Seconds and peak memory in MB of a command of Python's in a folder, start-up included."""
    environment = os.environ | {"PYTHONPATH": str(_ROOT), "DVC_ROOT": str(folder)}
    started = time.perf_counter()
    process = os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", _IN_FOLDER, str(folder), sys.executable, *command],
        environment,
    )
    _, status, usage = os.wait4(process, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} failed:\n{(folder / 'log.txt').read_text()}")
    return time.perf_counter() - started, usage.ru_maxrss / 1000
