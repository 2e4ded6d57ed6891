"""The features stage: data/frames/<video>.h5 to features/videos/<video>.h5, through the store."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from pipeline.checkpoint import load_checkpoint, tensors_hash
from pipeline.errors import PipelineError
from pipeline.features.build import Plan, build_writer
from pipeline.features.devices import advice, devices_for, size_advice
from pipeline.features.fingerprints import attributes_of, fingerprints_of, labels_of
from pipeline.features.params import FeaturesParams
from pipeline.features.quantisation_frames import quantisation_videos
from pipeline.features.shards import compute_on_all
from pipeline.features.video import MissingVideo, write_video
from pipeline.frame_store import FrameFile
from pipeline.networks.backbones.transform import Transform
from pipeline.paths import BACKBONE, FEATURES, FRAMES, INDEX
from pipeline.progress import Progress
from pipeline.result_store import Store
from pipeline.runtime import read_runtime
from pipeline.settings import read_section
from pipeline.tables import read_masked, read_skipped, read_splits, write_table


def run(
    frames: Path = FRAMES,
    backbone: Path = BACKBONE,
    output: Path = FEATURES,
    index: Path = INDEX,
) -> str:
    """Take the features that are in the store, compute the others, fill the output folder.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: No frames, no weights, no training frames to decide the scales of int8, or
            features that the chosen dtype cannot hold.
    """
    params = read_section(FeaturesParams, "features")
    runtime = read_runtime()
    containers = _containers(frames)
    tensors, header = load_checkpoint(backbone)
    quantised_on: list[Path] = []
    if params.precision == "int8":
        splits = read_splits(index)
        training = set(splits["video"][splits["split"] == "train"])
        quantised_on = quantisation_videos(containers, training)
    names = fingerprints_of(containers, tensors_hash(tensors), header, params, quantised_on)
    store = Store("features")
    missing = [
        MissingVideo(container, store.path(name), name)
        for container, name in names.items()
        if not store.has(name)
    ]
    if missing:
        transform = Transform(**header["transform"]).cropped(params.crop)
        attributes = attributes_of(tensors, header, params)
        plan = Plan(backbone, params, runtime, quantised_on, attributes)
        _compute(missing, plan, header["name"], transform.resize_px)
    for container, name in names.items():
        labels = labels_of(container.stem, header, params, frames)
        store.fill(name, output / container.name, labels)
    write_table(read_skipped(frames), output / "skipped.csv")
    write_table(read_masked(frames), output / "masked.csv")
    return f"{output}: {len(containers)} videos, {len(missing)} computed"


def _containers(frames: Path) -> dict[Path, str]:
    """The containers of a folder with the fingerprint of their frames, in the order of names."""
    found = {}
    for path in sorted(frames.glob("*.h5")):
        with FrameFile(path) as file:
            found[path] = str(file.attributes["fingerprint"])
    if not found:
        raise PipelineError(f"{frames}: holds no frames. Run `dvc repro frames` first.")
    return found


def _compute(missing: Sequence[MissingVideo], plan: Plan, backbone: str, resize_px: int) -> None:
    """Write what is missing, and say beforehand what may surprise a user."""
    where = devices_for(plan.runtime, plan.params)[: len(missing)]
    with FrameFile(missing[0].container) as file:
        stored = int(file.attributes["height"]), int(file.attributes["width"])
    notes = (advice(where[0], plan.params.precision), size_advice(*stored, resize_px))
    with Progress("features", len(missing), plan.runtime.progress) as progress:
        devices = ", ".join(str(device) for device in where)
        progress.say(f"features: {backbone}, {plan.params.precision}, on {devices}")
        for note in notes:
            if note:
                progress.say(f"features: {note}")
        for video, note in _written(missing, plan, where, progress):
            progress.step(video.container.stem, note)


def _written(
    missing: Sequence[MissingVideo], plan: Plan, where: Sequence[torch.device], progress: Progress
) -> Iterator[tuple[MissingVideo, str]]:
    if len(where) > 1:
        yield from compute_on_all(missing, plan, where)
        return
    with ThreadPoolExecutor(plan.runtime.worker_count) as pool:
        writer = build_writer(plan, where[0], pool, progress.say)
        for video in missing:
            yield video, write_video(video, writer, pool)
