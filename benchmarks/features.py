"""The features stage's encoder against the forward pass alone, on tensors in memory.

python benchmarks/features.py [--precision fp32] [--frames 160] [--runs 5]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
import torchvision

from pipeline.features.encode import CPU_BATCH, Encoder, encode
from pipeline.frame_store import FrameFile, write_frames
from pipeline.networks.cnn import build_cnn, transform_of
from pipeline.runtime import cores


def median_s(work: Callable[[], object], runs: int) -> float:
    work()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--frames", type=int, default=160)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 255, (16, 28, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", cv2.resize(coarse, (454, 256)))[1].tobytes()
    transform = transform_of(torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms())
    network, device = build_cnn("resnet50"), torch.device("cpu")
    plain = torch.randn(CPU_BATCH, 3, 224, 224)
    network.eval()
    with torch.inference_mode():
        eager = CPU_BATCH / median_s(lambda: network(plain), arguments.runs)
    encoder = Encoder(network, transform, arguments.precision, device, CPU_BATCH)
    images = torch.zeros(CPU_BATCH, 3, 224, 224, dtype=torch.uint8)
    ceiling = CPU_BATCH / median_s(lambda: encoder(images), arguments.runs)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(cores()) as pool:
        path = Path(folder) / "v.h5"
        write_frames(path, ((jpeg, float(i)) for i in range(arguments.frames)), {"video": "v"})
        with FrameFile(path) as frames:
            took = median_s(lambda: encode(frames, encoder, pool), arguments.runs)
    print(f"ResNet-50, {arguments.precision}, {cores()} cores, images/s")
    print(f"fp32 eager NCHW, forward alone   {eager:6.1f}")
    print(f"this mode, forward alone         {ceiling:6.1f}")
    rate = arguments.frames / took
    print(f"from the container to features   {rate:6.1f}  {rate / ceiling:.2f} of forward alone")


if __name__ == "__main__":
    main()
