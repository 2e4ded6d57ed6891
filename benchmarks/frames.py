"""The frames stage against the bare decoder, on one clip repeated to some minutes.

    python benchmarks/frames.py CLIP [--minutes 10] [--runs 3] [--folder FOLDER] [--sizes 480p]

The ceiling decodes every picture with PyAV and does nothing else, with a thread per core. The stage
is the whole command `python -m pipeline frames`, from process start to the file in data/frames.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import av
from long_video import SIZES, long_video
from project import make_project, run_command
from timing import median_s

from pipeline.runtime import cores


def bare_decoder(path: Path, threads: int) -> None:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        for _ in container.decode(stream):
            pass


def stage(project: Path) -> float:
    """The whole command on an empty store; returns its peak memory in MB."""
    shutil.rmtree(project / ".store", ignore_errors=True)
    return run_command(project, "-m", "pipeline", "frames")[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the long videos are kept")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--fps", nargs="+", default=["1", "5"])
    arguments = parser.parse_args()
    print(f"{arguments.minutes:g} minutes, {cores()} cores, median of {arguments.runs}\n")
    print("| video | sampled | bare decoder, s | frames, s | ratio | peak memory, MB |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        for size in arguments.sizes:
            for skippable in (True, False):
                video = long_video(
                    arguments.clip.resolve(), folder, size, skippable, arguments.minutes
                )
                ceiling = median_s(lambda path=video: bare_decoder(path, cores()), arguments.runs)
                for fps in arguments.fps:
                    project = Path(temporary) / "project"
                    make_project(project, video, {"frames": {"fps": fps}})
                    peaks: list[float] = []
                    took = median_s(lambda to=peaks, p=project: to.append(stage(p)), arguments.runs)
                    kind = "as encoded" if skippable else "nothing skippable"
                    print(
                        f"| {size}, {kind} | {fps} fps | {ceiling:.2f} | {took:.2f} "
                        f"| {took / ceiling:.2f} | {max(peaks):.0f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
