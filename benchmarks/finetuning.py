"""Fine-tuning: what the loader delivers, what the network takes, and both together.

python benchmarks/finetuning.py [--name resnet18] [--crop 224] [--frames 192] [--runs 3]
"""

import argparse
import resource
import tempfile
from pathlib import Path

import cv2
import lightning_fabric
import numpy as np
import torch
from timing import median_s

from pipeline.allocator import keep_freed_memory
from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.backbone.loader import load
from pipeline.backbone.loop import augmenting, fine_tune
from pipeline.backbone.params_finetune import FinetuneParams
from pipeline.backbone.task import FineTuning
from pipeline.backbone.weights import random_weights
from pipeline.frame_store import write_frames
from pipeline.networks.backbones.transform import Transform
from pipeline.runtime import cores
from pipeline.training.state import StateFile

NUM_CLASSES = 7


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default="resnet18")
    parser.add_argument("--crop", type=int, default=224)
    parser.add_argument("--frames", type=int, default=192)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--precision", default="32-true", choices=["32-true", "bf16-mixed"])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    keep_freed_memory()  # as the stage does
    transform = Transform(
        round(given.crop * 256 / 224),
        given.crop,
        "bilinear",
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
    )
    params = FinetuneParams(
        strategy="whole", epochs=1, batch=given.batch, early_stop=0, precision=given.precision
    )
    fabric = lightning_fabric.Fabric(accelerator=given.device, devices=1, precision=given.precision)
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 255, (16, 28, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", cv2.resize(coarse, (454, 256)))[1].tobytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.h5"
        write_frames(path, ((jpeg, float(i)) for i in range(given.frames)), {"video": "v"})
        rows = np.arange(given.frames)
        labels = rows % NUM_CLASSES
        tools = np.zeros((given.frames, 0), dtype=np.float32)
        frames = LabelledFrames((path,), ("f",), np.zeros_like(rows), rows, labels, tools)
        nothing = frames.take(rows[:0])
        weights = random_weights(given.name, 1)
        task = FineTuning(
            given.name, weights, transform, frames, nothing, NUM_CLASSES, params, seed=1
        )

        def read(_: int = 0) -> int:
            batches = np.array_split(rows, max(1, len(rows) // given.batch))
            prepare = augmenting(transform, params, 1)
            return sum(len(images) for images in load(frames, batches, prepare, given.workers))

        bare = task.build_classifier().to(fabric.device, memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(bare.parameters())
        images = torch.zeros(given.batch, 3, given.crop, given.crop, dtype=torch.uint8)
        images, target = images.to(fabric.device), torch.from_numpy(labels[: given.batch])
        target = target.to(fabric.device)

        def step() -> None:
            bare.train()
            with fabric.autocast():
                logits, _ = bare(images)
            torch.nn.functional.cross_entropy(logits.float(), target).backward()
            optimizer.step()
            optimizer.zero_grad()
            if fabric.device.type == "cuda":
                torch.cuda.synchronize()

        trained = task.build_classifier()
        made = 0

        def epoch() -> None:
            nonlocal made
            made += 1
            state = Path(folder) / f"{made}.safetensors"
            nothing_said = lambda *_: None  # noqa: E731
            fine_tune(
                fabric, trained, task, StateFile(state), given.workers, nothing_said, nothing_said
            )

        loading = given.frames / median_s(read, given.runs)
        alone = given.batch / median_s(step, max(5, given.runs))
        together = given.frames / median_s(epoch, given.runs)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{given.name}, crop {given.crop}, batch {given.batch}, {given.precision}, "
        f"{fabric.device.type}, {cores()} cores, images/s"
    )
    print(f"loader alone, augmented                   {loading:8.1f}")
    print(f"training step alone, tensors in memory    {alone:8.1f}")
    ratio = together / min(alone, loading)
    print(f"an epoch from the container, saved        {together:8.1f}  {ratio:.2f} of the slower")
    print(f"peak memory {memory:.0f} MB")


if __name__ == "__main__":
    main()
