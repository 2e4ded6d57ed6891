"""Smaller backbones beside the one of the project: the table of docs/compress.md.

    python benchmarks/compress.py                          in a project whose features are there
    python benchmarks/compress.py --ratios 0.3 0.5 --students resnet18=IMAGENET1K_V1 --epochs 10

Prunes and distils with the project's own frames, features and seed, writes the results into
models/compressed, and prints size, operations, speed, closeness and what a probe tells of each.
Nothing that `dvc repro` wrote is changed; the features of each go into the store.
"""

import argparse
import time
from pathlib import Path

from pipeline.compress.command import distil, prune
from pipeline.compress.table import table

FOLDER = Path("models/compressed")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ratios", nargs="*", type=float, default=[0.3, 0.5])
    parser.add_argument("--students", nargs="*", default=["mobilenet_v3_small", "resnet18"])
    parser.add_argument("--epochs", type=int, default=2)
    given = parser.parse_args()
    files = []
    for ratio in given.ratios:
        files.append(FOLDER / f"pruned-{round(100 * ratio)}.safetensors")
        started = time.perf_counter()
        print(prune(ratio, given.epochs, files[-1]), f"[{time.perf_counter() - started:.0f} s]")
    for student in given.students:
        files.append(FOLDER / f"{student.partition('=')[0].replace('/', '-')}.safetensors")
        started = time.perf_counter()
        print(distil(student, given.epochs, files[-1]), f"[{time.perf_counter() - started:.0f} s]")
    print(table(files))


if __name__ == "__main__":
    main()
