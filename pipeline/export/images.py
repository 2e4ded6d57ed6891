"""Stored frames as the exported backbone takes them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline import paths
from pipeline.errors import PipelineError
from pipeline.features.jpeg import decoded
from pipeline.features.quantisation_frames import (
    FRAMES_PER_VIDEO,
    evenly_spaced,
    quantisation_videos,
)
from pipeline.frame_store import FrameFile
from pipeline.networks.backbones.transform import Transform
from pipeline.tables import read_folds, read_splits

BATCH = 8
_COMPARED = 8  # images by which a graph is compared with torch

Images = NDArray[np.uint8]


def compared_images(transform: Transform) -> tuple[Images, str]:
    """A few images (N, 3, H, W) of a stored video, or noise; and which of both, in words."""
    containers = sorted(paths.FRAMES.glob("*.h5"))
    if not containers:
        side = transform.crop_px
        noise = np.random.default_rng(0).integers(256, size=(_COMPARED, 3, side, side))
        return noise.astype(np.uint8), "random images"
    with FrameFile(containers[0]) as frames:
        samples = evenly_spaced(frames.kept, _COMPARED)
        return next(batches(frames, samples, transform)), f"stored frames of {containers[0].stem}"


def calibration_images(containers: Sequence[Path], transform: Transform) -> Iterator[Images]:
    """Images (N, 3, H, W) that stand for all others, of these videos."""
    for path in containers:
        with FrameFile(path) as frames:
            yield from batches(frames, evenly_spaced(frames.kept, FRAMES_PER_VIDEO), transform)


def batches(
    frames: FrameFile, samples: NDArray[np.int64], transform: Transform
) -> Iterator[Images]:
    """The images of samples, up to BATCH at once: (N, 3, H, W) uint8."""
    for start in range(0, len(samples), BATCH):
        prepared = [
            transform.prepare(torch.from_numpy(decoded(frames.jpeg(sample))).permute(2, 0, 1))
            for sample in samples[start : start + BATCH].tolist()
        ]
        yield torch.stack(prepared).numpy()


def calibration_containers() -> list[Path]:
    """The frames of a few training videos.

    Raises:
        PipelineError: There are none.
    """
    containers = sorted(paths.FRAMES.glob("*.h5"))
    splits = paths.INDEX / "splits.csv"
    if not containers or not splits.is_file():
        raise PipelineError(
            f"{paths.FRAMES}: found no frames, or no {splits}, but --precision int8 takes its "
            "scales from frames of the training videos. Run `dvc repro frames` (or `dvc pull`), "
            "or use --precision fp16."
        )
    fingerprints = {}
    for path in containers:
        with FrameFile(path) as frames:
            fingerprints[path] = str(frames.attributes["fingerprint"])
    table = read_splits(fold=read_folds()[0])
    return quantisation_videos(fingerprints, set(table.loc[table["split"] == "train", "video"]))
