"""From the frames container to the features file, against the forward pass alone.

    python benchmarks/features.py [--network efficientnet_b5] [--runs 3] [--seconds 12]

Each row is a process of its own. Its ceiling is the network of that row on a batch in memory; what
it is compared with is how published code does it, fp32, eager, NCHW. Weights are random.
"""

import argparse
import multiprocessing
import resource
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
import torchvision
from timing import median_s

from pipeline.backbone.weights import random_weights
from pipeline.checkpoint import save_checkpoint
from pipeline.features.build import Plan, build_coder
from pipeline.features.devices import settle
from pipeline.features.params import FeaturesParams
from pipeline.features.video import Job, compute
from pipeline.frame_store import write_frames
from pipeline.networks.cnn import build_cnn, transform_of
from pipeline.runtime import RuntimeParams, cores

MODES = [("fp32", False), ("fp32", True), ("bf16", False), ("bf16", True), ("int8", False)]


def container(path: Path, frames: int) -> Path:
    """So many frames of 454 x 256, all different."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 255, (frames, 9, 16, 3), dtype=np.uint8)
    images = (cv2.resize(image, (454, 256), interpolation=cv2.INTER_CUBIC) for image in coarse)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
    samples = ((cv2.imencode(".jpg", image, quality)[1].tobytes(), 0.0) for image in images)
    write_frames(path, samples, {"video": path.stem, "fps": 1.0, "fingerprint": path.stem})
    return path


def eager_rate(network: str, side: int, runs: int, batch: int = 16) -> float:
    plain, pixels = build_cnn(network).eval(), torch.randn(batch, 3, side, side)
    with torch.inference_mode():
        return batch / median_s(lambda: plain(pixels), runs)


def measure(network: str, precision: str, compile: bool, seconds: float, runs: int) -> None:
    settle(cores())
    first = next(iter(torchvision.models.get_model_weights(network)))
    transform = transform_of(first.transforms())
    side = transform.crop_px
    eager = eager_rate(network, side, runs)
    params = FeaturesParams.model_validate({"precision": precision})
    runtime = RuntimeParams(device="cpu", compile=compile)
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(cores()) as pool:
        folder = Path(name)
        header = {"name": network, "weights": "random", "transform": asdict(transform)}
        save_checkpoint(folder / "b.safetensors", random_weights(network, 0), header)
        plan = Plan(folder / "b.safetensors", params, runtime, [container(folder / "c.h5", 32)], {})
        coder = build_coder(plan, torch.device("cpu"), pool, lambda line: None)
        if compile:
            assert coder.attributes["compiled"], "no C++ compiler"
        encoder = coder.encoder
        images = torch.zeros(encoder.batch, side, side, 3, dtype=torch.uint8).permute(0, 3, 1, 2)
        forward = encoder.batch / median_s(lambda: encoder(images), 4 * runs)
        frames = max(32, round(forward * seconds))
        job = Job(container(folder / "v.h5", frames), folder / "f.h5", "")
        stage = frames / median_s(lambda: compute(job, coder, pool), runs)
        again = encoder.batch / median_s(lambda: encoder(images), 4 * runs)
    ceiling = (forward + again) / 2
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    mode = precision + (", compiled" if compile else "")
    print(
        f"| {mode} | {eager:.1f} | {ceiling:.1f} | {stage:.1f} | {stage / ceiling:.2f} "
        f"| {stage / eager:.1f} | {peak:.0f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--mode", nargs="*", help="rows, such as fp32 bf16+compile; default all")
    parser.add_argument("--seconds", type=float, default=12, help="length of each stage run")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{arguments.network}, {cores()} cores, images/s, median of {arguments.runs}\n")
    print("| mode | eager fp32 forward | forward alone | stage | of forward | x eager | peak MB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    context = multiprocessing.get_context("spawn")
    for precision, compile in MODES:
        if arguments.mode and precision + "+compile" * compile not in arguments.mode:
            continue
        row = (arguments.network, precision, compile, arguments.seconds, arguments.runs)
        process = context.Process(target=measure, args=row)
        process.start()
        process.join()


if __name__ == "__main__":
    main()
