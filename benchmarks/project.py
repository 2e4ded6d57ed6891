"""A project folder for one video, and the pipeline's commands run in it as whole processes."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from pipeline.tables import write_table

_ROOT = Path(__file__).parents[1]


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
    log = folder / "log.txt"
    peak_mb = 0.0
    started = time.perf_counter()
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        while process.poll() is None:
            peak_mb = max(peak_mb, _peak_mb(process.pid))
            time.sleep(0.02)
    took = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{log.read_text()}")
    return took, peak_mb


def _peak_mb(pid: int) -> float:
    """Of a running process; what it leaves behind for wait4 has its parent's peak in it (Linux)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1000 if found else 0.0
