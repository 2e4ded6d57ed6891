"""From the frames container to the features file, against the forward pass alone.

    python benchmarks/features.py [--network efficientnet_b5] [--runs 3] [--seconds 12]
    python benchmarks/features.py --device cuda --batch 128
    python benchmarks/features.py --network r2plus1d_18@16 --mode fp32 bf16

Each row is a process of its own. Its ceiling is the network of that row on a batch in the device's
memory; what it is compared with is how published code does it, fp32, eager, NCHW. Weights are
random. On a GPU each row comes with both decoders. Of a network that reads clips, a clip ends at
each frame and shares all but one with the next; figures are clips per second.
"""

import argparse
import multiprocessing
import resource
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from timing import median_s

from pipeline.backbone.weights import random_weights
from pipeline.checkpoint import save_checkpoint
from pipeline.clips import Clips
from pipeline.features.build import Plan, build_writer
from pipeline.features.params import FeaturesParams
from pipeline.features.video import MissingVideo, write_video
from pipeline.frame_store import write_frames
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.memory_format import images_channels_last
from pipeline.networks.backbones.transform_record import recorded
from pipeline.runtime import RuntimeParams, cores


class Mode(NamedTuple):
    """How the features of a row are made."""

    precision: str
    compile: bool = False
    decoder: str = "opencv"

    def __str__(self) -> str:
        return self.precision + "+compile" * self.compile + "+nvjpeg" * (self.decoder == "nvjpeg")


FLOATING = [Mode(precision, compile) for precision in ("fp32", "bf16") for compile in (False, True)]
MODES = {
    "cpu": [*FLOATING, Mode("int8")],
    "cuda": [m._replace(decoder=d) for m in FLOATING for d in ("opencv", "nvjpeg")],
}


def container(path: Path, frames: int) -> Path:
    """So many frames of 454 x 256, all different."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 255, (frames, 9, 16, 3), dtype=np.uint8)
    images = (cv2.resize(image, (454, 256), interpolation=cv2.INTER_CUBIC) for image in coarse)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
    encoded = (cv2.imencode(".jpg", image, quality)[1].tobytes() for image in images)
    samples = ((jpeg, float(second)) for second, jpeg in enumerate(encoded))
    attributes = {"fps": 1.0, "height": 256, "width": 454, "fingerprint": path.stem}
    write_frames(path, samples, attributes)
    return path


def rate(network: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, runs: int) -> float:
    """Images per second of the forward pass alone."""

    def forward() -> None:
        network(images)
        if images.is_cuda:
            torch.cuda.synchronize()

    with torch.inference_mode():
        return len(images) / median_s(forward, runs)


def measure(mode: Mode, given: argparse.Namespace) -> None:
    transform = build_backbone(given.network).transform
    device = torch.device(given.device)
    # Before build_writer, which has the C library keep memory: published code does not do that.
    torch.set_num_threads(cores())
    backbone = build_backbone(given.network)
    length = backbone.clip_frames
    clips = None if length is None else Clips(length, every=1, step=1, position="past")
    image = (3, transform.crop_px, transform.crop_px)
    sample = image if length is None else (length, *image)
    plain = backbone.network.eval().to(device)
    batch = 16 if length is None else 2
    eager = rate(plain, torch.randn(batch, *sample, device=device), given.runs)
    params = FeaturesParams.model_validate({"precision": mode.precision, "decoder": mode.decoder})
    runtime = RuntimeParams(device=given.device, compile=mode.compile, batch=given.batch)
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(cores()) as pool:
        folder = Path(name)
        header = {"name": given.network, "weights": "random", "transform": recorded(transform)}
        save_checkpoint(folder / "b.safetensors", random_weights(given.network, 0), header)
        quantisation = [container(folder / "c.h5", 32)]
        plan = Plan(folder / "b.safetensors", params, runtime, quantisation, {}, clips)
        writer = build_writer(plan, device, pool, lambda line: None)
        if mode.compile:
            assert writer.attributes["compiled"], "not compiled: is there a C++ compiler?"
        encoder = writer.encoder
        images = torch.zeros(encoder.batch, *sample, dtype=torch.uint8, device=device)
        images = images_channels_last(images)
        forward = rate(encoder, images, 4 * given.runs)
        # Whole batches: filling up the last one costs an operation of an hour nothing, but a
        # benchmark of seconds a fifth.
        frames = encoder.batch * max(2, round(forward * given.seconds / encoder.batch))
        job = MissingVideo(container(folder / "v.h5", frames), folder / "f.h5", "")

        def write() -> None:
            job.target.unlink(missing_ok=True)  # a file that is there is not made again
            write_video(job, writer, pool)

        stage = frames / median_s(write, given.runs)
        again = rate(encoder, images, 4 * given.runs)
    ceiling = (forward + again) / 2
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(
        f"| {mode} | {eager:.1f} | {ceiling:.1f} | {stage:.1f} | {stage / ceiling:.2f} "
        f"| {stage / eager:.1f} | {peak:.0f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--device", default="cpu", choices=MODES)
    parser.add_argument("--batch", type=int, default=16, help="on a GPU")
    parser.add_argument("--mode", nargs="*", help="rows, such as fp32 bf16+compile; default all")
    parser.add_argument("--seconds", type=float, default=12, help="length of each stage run")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    print(f"{given.network}, {cores()} cores, images/s, median of {given.runs}\n")
    print("| mode | eager fp32 forward | forward alone | stage | of forward | x eager | peak MB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    context = multiprocessing.get_context("spawn")
    for mode in MODES[given.device]:
        if given.mode and str(mode) not in given.mode:
            continue
        process = context.Process(target=measure, args=(mode, given))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
