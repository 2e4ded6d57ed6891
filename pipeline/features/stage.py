"""The features stage: data/frames/<video>.h5 to features/<video>.h5, through the store."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from pipeline import feature_store, frame_store
from pipeline.checkpoint import read_header
from pipeline.code_identity import code_hash
from pipeline.errors import PipelineError
from pipeline.features import (
    build,
    calibration,
    copying,
    devices,
    encode,
    nvjpeg,
    quantise,
    video,
)
from pipeline.features.build import Plan, build_coder
from pipeline.features.calibration import calibration_videos
from pipeline.features.devices import devices_for, remark
from pipeline.features.params import FeaturesParams
from pipeline.features.shards import compute_on_all
from pipeline.features.video import Job, compute
from pipeline.frame_store import FrameFile
from pipeline.networks.backbones import cnn, fold
from pipeline.networks.backbones.transform import Transform
from pipeline.paths import BACKBONE, FEATURES, FRAMES, INDEX
from pipeline.progress import Progress
from pipeline.result_store import Store, file_hash, fingerprint
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
        PipelineError: No frames, no weights, no training frames to calibrate int8 on, or features
            that the chosen dtype cannot hold.
    """
    params = read_section(FeaturesParams, "features")
    runtime = read_runtime()
    containers = sorted(frames.glob("*.h5"))
    if not containers:
        raise PipelineError(f"{frames}: holds no frames. Run `dvc repro frames` first.")
    header = read_header(backbone)
    weights_hash = file_hash(backbone)

    sources = {}
    for container in containers:
        with FrameFile(container) as file:
            sources[container] = file.attributes["fingerprint"]
    chosen: list[Path] = []
    if params.precision == "int8":
        splits = read_splits(index)
        chosen = calibration_videos(sources, set(splits["video"][splits["split"] == "train"]))
    store = Store("features")
    names = {
        container: fingerprint(
            frames=source,
            weights=weights_hash,
            params=params.model_dump(),
            calibration=[sources[path] for path in chosen],
            code=code_hash(
                *(build, calibration, copying, devices, encode, nvjpeg, quantise, video),
                *(cnn, fold, frame_store, feature_store),
            ),
        )
        for container, source in sources.items()
    }
    jobs = [
        Job(container, store.path(name), name)
        for container, name in names.items()
        if not store.has(name)
    ]
    if jobs:
        attributes = {
            "backbone": header["name"],
            "weights": header["weights"],
            "weights_hash": weights_hash,
            "precision": params.precision,
            "jpeg_decoder": params.decoder,
            "torch": str(torch.__version__),
            "crop": Transform(**header["transform"]).cropped(params.crop).crop_px,
        }
        plan = Plan(backbone, params, runtime, chosen, attributes)
        where = devices_for(runtime, params)[: len(jobs)]
        with Progress("features", len(jobs), runtime.progress) as progress:
            progress.say(f"features: {header['name']}, {params.precision}, on {_listed(where)}")
            note = remark(where[0], params.precision)
            if note:
                progress.say(f"features: {note}")
            for job, note in _computed(jobs, plan, where, progress):
                progress.step(job.container.stem, note)
    for container, name in names.items():
        store.fill(name, output / container.name)
    write_table(read_skipped(frames), output / "skipped.csv")
    write_table(read_masked(frames), output / "masked.csv")
    return f"{output}: {len(containers)} videos, {len(jobs)} computed"


def _computed(
    jobs: Sequence[Job], plan: Plan, where: Sequence[torch.device], progress: Progress
) -> Iterator[tuple[Job, str]]:
    if len(where) > 1:
        yield from compute_on_all(jobs, plan, where)
        return
    with ThreadPoolExecutor(plan.runtime.worker_count) as pool:
        coder = build_coder(plan, where[0], pool, progress.say)
        for job in jobs:
            yield job, compute(job, coder, pool)


def _listed(where: Sequence[torch.device]) -> str:
    return ", ".join(str(device) for device in where)
