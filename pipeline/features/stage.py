"""The features stage: data/frames/<video>.h5 to features/<video>.h5, through the store."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline import feature_store, frame_store
from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.feature_store import write_features
from pipeline.features import encode as encode_module
from pipeline.features.encode import CPU_BATCH, Encoder, encode
from pipeline.features.params import FeaturesParams
from pipeline.frame_store import FrameFile
from pipeline.networks import cnn
from pipeline.networks.cnn import Transform, build_cnn
from pipeline.progress import Progress
from pipeline.result_store import Store, file_hash, fingerprint, source_hash
from pipeline.runtime import RuntimeParams, read_runtime
from pipeline.settings import read_section
from pipeline.tables import read_skipped, write_table

FRAMES = Path("data/frames")
BACKBONE = Path("models/backbone.safetensors")
FEATURES = Path("features")


def run(frames: Path = FRAMES, backbone: Path = BACKBONE, output: Path = FEATURES) -> str:
    """Take the features that are in the store, compute the others, fill the output folder.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: No frames, no weights, or features that the chosen dtype cannot hold.
    """
    params = read_section(FeaturesParams, "features")
    runtime = read_runtime()
    containers = sorted(frames.glob("*.h5"))
    if not containers:
        raise PipelineError(f"{frames}: holds no frames. Run `dvc repro frames` first.")
    weights_hash = file_hash(backbone) if backbone.is_file() else ""
    tensors, header = load_checkpoint(backbone)
    transform = _transform(header["transform"], params.crop)

    store = Store("features")
    names = {}
    for container in containers:
        with FrameFile(container) as file:
            names[container] = fingerprint(
                frames=file.attributes["fingerprint"],
                weights=weights_hash,
                params=params.model_dump(),
                code=source_hash(encode_module, cnn, frame_store, feature_store),
            )
    missing = [container for container in containers if not store.has(names[container])]
    if missing:
        network = build_cnn(header["name"])
        network.load_state_dict(tensors)
        device = _device(runtime)
        batch = CPU_BATCH if device.type == "cpu" else runtime.batch
        encoder = Encoder(network, transform, params.precision, device, batch)
        attributes = {
            "backbone": header["name"],
            "weights": header["weights"],
            "weights_hash": weights_hash,
            "precision": params.precision,
            "crop": transform.crop_px,
        }
        _compute(missing, encoder, params.dtype, store, names, attributes, runtime)
    for container in containers:
        store.fill(names[container], output / container.name)
    write_table(read_skipped(frames), output / "skipped.csv")
    return f"{output}: {len(containers)} videos, {len(missing)} computed"


def _compute(
    containers: list[Path],
    encoder: Encoder,
    dtype: str,
    store: Store,
    names: dict[Path, str],
    attributes: dict[str, Any],
    runtime: RuntimeParams,
) -> None:
    with (
        Progress("features", len(containers), runtime.progress) as progress,
        ThreadPoolExecutor(runtime.worker_count) as pool,
    ):
        progress.say(f"features: {attributes['backbone']} on {encoder.device}")
        for container in containers:
            with FrameFile(container) as file:
                features = encode(file, encoder, pool)
                stored = _stored(features, dtype, container)
                write_features(
                    store.path(names[container]),
                    stored,
                    file.time_s,
                    attributes
                    | {
                        "video": file.attributes["video"],
                        "fps": file.attributes["fps"],
                        "frames_fingerprint": file.attributes["fingerprint"],
                        "fingerprint": names[container],
                    },
                )
            progress.step(container.stem, f"{len(features)} frames")


def _stored(features: np.ndarray[Any, Any], dtype: str, container: Path) -> np.ndarray[Any, Any]:
    """The features in the type of the file, checked to be finite in it."""
    with np.errstate(over="ignore"):
        stored = features.astype(dtype)
    if not np.isfinite(stored).all():
        largest = float(np.abs(features).max())
        raise PipelineError(
            f"{container}: features up to {largest:.3g} do not fit features.dtype: {dtype}. "
            "Set features.dtype: float32; if they are not finite there either, check the weights."
        )
    return stored


def _transform(values: dict[str, Any], crop: int | None) -> Transform:
    transform = Transform(**values)
    if crop is None:
        return transform
    resize_px = round(transform.resize_px * crop / transform.crop_px)
    return Transform(resize_px, crop, transform.interpolation, transform.mean, transform.std)


def _device(runtime: RuntimeParams) -> torch.device:
    """The GPU when there is one and nobody said otherwise."""
    torch.set_num_threads(runtime.thread_count)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    if runtime.device == "cuda" and not torch.cuda.is_available():
        raise PipelineError(
            "params.yaml: runtime.device: found cuda, but torch sees no GPU. "
            "Allowed here: auto, cpu. `python -m pipeline doctor` says more."
        )
    if runtime.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(runtime.device)
