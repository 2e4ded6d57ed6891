"""The stages frames and features on videos of yours: as ever, and by one and two workers of Ray.

    python benchmarks/scale_pipeline.py data/demo/operations [--backbone resnet18] [--fps 1]

Whole commands in a project of its own, start-up and all, with one thread for each video. Processor
time is that of the command and of all that it started, read every tenth of a second: the last tenth
of a process is missing. The bytes of all ways are compared.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).parents[1]
_RAY = {"executor": "ray", "progress": "none", "threads": 1}
# On two processors, a task of two is alone.
WAYS = {
    "local, a video at a time": {"workers": 1, "threads": 1, "progress": "none"},
    "Ray, one worker": _RAY | {"task": {"cpus": os.cpu_count(), "gpus": 0, "memory_gb": 1}},
    "Ray, two workers": _RAY | {"task": {"cpus": (os.cpu_count() or 2) // 2, "memory_gb": 1}},
}


def measured(stage: str) -> tuple[float, float]:
    """Seconds, and seconds of processors, that a stage takes in the current folder."""
    seen: dict[psutil.Process, float] = {}
    started = time.perf_counter()
    process = psutil.Popen([sys.executable, "-m", "pipeline", stage], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            for one in [process, *process.children(recursive=True)]:
                times = one.cpu_times()
                seen[one] = times.user + times.system
        except psutil.Error:
            pass  # it has just ended
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{stage} failed")
    return time.perf_counter() - started, sum(seen.values())


def outputs() -> list[str]:
    files = [*Path("data/frames").glob("*.h5"), *Path("features/videos").glob("*.h5")]
    return [f"{file} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in sorted(files)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="a folder in the layout of params.yaml")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--fps", type=float, default=1)
    asked = parser.parse_args()
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["data"]["root"] = str(asked.root.resolve())
    params["frames"]["fps"] = asked.fps
    params["backbone"]["name"] = asked.backbone
    os.environ["PYTHONPATH"] = str(ROOT)
    found: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for way, runtime in WAYS.items():
            params["runtime"] = runtime
            Path("params.yaml").write_text(yaml.safe_dump(params))
            if not found:
                measured("index")
                measured("backbone")
            for made in (".store/frames", ".store/features", "data/frames", "features/videos"):
                shutil.rmtree(made, ignore_errors=True)
            for stage in ("frames", "features"):
                seconds, processors = measured(stage)
                print(f"{way}: {stage} {seconds:.1f} s, of processors {processors:.1f} s")
            found.append(outputs())
        os.chdir(ROOT)
    print(f"{len(found[0])} files, equal bytes: {all(other == found[0] for other in found)}")


if __name__ == "__main__":
    main()
