"""From a video to its features: this project's commands against the plain way of published code.

    python benchmarks/end_to_end.py CLIP [--minutes 10] [--size 480p] [--fps 1] [--precision bf16]

Every step is a whole process, start-up included; peak memory is the largest of its processes. The
video is the clip, repeated; the network is a ResNet-50 with random weights.
"""

import argparse
import tempfile
from pathlib import Path

from long_video import SIZES, long_video
from project import make_project, run_command

_HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--size", choices=SIZES, default="480p")
    parser.add_argument("--fps", default="1")
    parser.add_argument("--precision", default="bf16", help="as features.precision")
    parser.add_argument("--folder", type=Path, help="where the long video is kept")
    arguments = parser.parse_args()
    plain = [str(_HERE / "published_way.py")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        videos = (arguments.folder or folder).resolve()
        clip = arguments.clip.resolve()
        video = long_video(clip, videos, arguments.size, True, arguments.minutes)
        project = folder / "project"
        make_project(
            project,
            video,
            {
                "frames": {"fps": arguments.fps},
                "features": {"precision": arguments.precision},
                "backbone": {"weights": "random"},
            },
        )
        run_command(project, "-m", "pipeline", "backbone")
        images, features = str(folder / "images"), str(folder / "v.npy")
        steps = {
            "frames": (
                [*plain, "frames", str(video), images, arguments.fps],
                ["-m", "pipeline", "frames"],
            ),
            "features": ([*plain, "features", images, features], ["-m", "pipeline", "features"]),
        }
        count = int(arguments.minutes * 60 * float(arguments.fps))
        print(f"{arguments.minutes:g} minutes, {arguments.size}, {arguments.fps} fps\n")
        print("| step | way | s | sampled frames/s | peak memory, MB | times as quick |")
        print("|---|---|---|---|---|---|")
        totals = [0.0, 0.0]
        for step, commands in steps.items():
            took = [run_command(project, *command) for command in commands]
            totals = [total + seconds for total, (seconds, _) in zip(totals, took, strict=True)]
            _rows(step, [seconds for seconds, _ in took], count, [peak for _, peak in took])
        _rows("both", totals, count, [])


def _rows(step: str, seconds: list[float], count: int, peaks: list[float]) -> None:
    for place, way in enumerate(("published", "this project")):
        peak = f"{peaks[place]:.0f}" if peaks else ""
        print(
            f"| {step} | {way} | {seconds[place]:.1f} | {count / seconds[place]:.1f} | {peak} "
            f"| {seconds[0] / seconds[place]:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
