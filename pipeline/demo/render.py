"""Renders the demo operations: H.264 videos and one table of their phases."""

import csv
import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av
import cv2
import numpy as np

from pipeline.demo.scene import HEIGHT, WIDTH, Camera, make_body
from pipeline.demo.workflow import PHASES, PhaseRun, course

FPS = 25
# Of twelve operations; every phase occurs in each of them.
_SPLIT = ("train",) * 7 + ("val",) * 2 + ("test",) * 3


def render_demo(
    folder: Path,
    operations: int = 12,
    seconds: tuple[float, float] = (40, 90),
    seed: int = 7,
) -> None:
    """Render the operations; the same arguments give the same bytes.

    Args:
        folder: Gets videos/operationNN.mp4 and phases.csv (`video,start_s,end_s,phase,split`).
            It appears when all is rendered; one that is there is replaced.
        operations: How many.
        seconds: Length of the shortest and the longest.
        seed: Of everything drawn.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "videos").mkdir(parents=True)
    lengths = np.linspace(*seconds, operations).round(2)
    np.random.default_rng(seed).shuffle(lengths)
    planned = [
        (partial / f"videos/operation{n + 1:02d}.mp4", [seed, n], float(lengths[n]))
        for n in range(operations)
    ]
    workers = min(operations, os.cpu_count() or 1)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        runs = []
        for (path, _, length), found in zip(planned, pool.map(_render, planned), strict=True):
            runs.append((path.stem, found))
            print(f"demo {len(runs)}/{operations}  {path.stem}  {length:.0f} s", flush=True)
    with (partial / "phases.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["video", "start_s", "end_s", "phase", "split"])
        for number, (video, found) in enumerate(runs):
            split = _SPLIT[number * len(_SPLIT) // operations]
            for run in found:
                writer.writerow([video, f"{run.start_s:g}", f"{run.end_s:g}", run.phase, split])
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def _render(operation: tuple[Path, list[int], float]) -> list[PhaseRun]:
    """One operation into a file; its phases."""
    path, seed, duration_s = operation
    cv2.setNumThreads(1)
    generator = np.random.default_rng(seed)
    runs = course(generator, duration_s)
    camera = Camera(generator, make_body(generator, PHASES))
    with av.open(str(path), "w") as container:
        # One thread: the number of threads changes x264's bytes.
        options = {"preset": "veryfast", "crf": "23", "bf": "2", "g": "250", "threads": "1"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(round(runs[-1].end_s * FPS)):
            time_s = number / FPS
            phase = next(run.phase for run in runs if time_s < run.end_s - 1e-9)
            frame = av.VideoFrame.from_ndarray(camera.frame(phase, time_s), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return runs
