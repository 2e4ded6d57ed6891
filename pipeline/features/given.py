"""Features that the data set brings itself, brought into the form of all others."""

import json
from pathlib import Path

import numpy as np

from pipeline import given_features
from pipeline.checkpoint import load_checkpoint, tensors_hash
from pipeline.code_identity import code_hash
from pipeline.errors import PipelineError
from pipeline.feature_store import FORMAT_VERSION, write_features
from pipeline.features import rows
from pipeline.features.params import FeaturesParams
from pipeline.given_features import NETWORK, TIME_LAST, GivenVideo, read_array, read_given
from pipeline.progress import Progress
from pipeline.result_store import Store, fingerprint
from pipeline.runtime import read_runtime
from pipeline.settings import read_value
from pipeline.tables import read_masked, read_skipped, write_table


def take_given(frames: Path, backbone: Path, output: Path, params: FeaturesParams) -> str:
    """Check, turn and convert the arrays that given.csv names; one is in memory at a time.

    Args:
        frames: Folder with given.csv.
        backbone: models/backbone.safetensors, which says that there is no network.
        output: Folder of features.
        params: The section `features`, of which the type alone counts.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: Arrays are damaged, hold NaN or are not what the index saw; names them all.
    """
    tensors, header = load_checkpoint(backbone)
    if header["name"] != NETWORK:
        raise PipelineError(
            f"{backbone}: holds {header['name']}, but features are given. Run `dvc repro`."
        )
    videos, store = read_given(frames), Store("features")
    root, weights_hash = Path(read_value("data.root", str)), tensors_hash(tensors)
    taken = json.loads((frames / "recipe.json").read_text(encoding="utf-8"))
    recipe = {
        "frames": {"fps": taken["fps"]},
        "features": {"dtype": params.dtype},
        "backbone": header,
    }
    problems, names, converted = [], {}, 0
    with Progress("features", len(videos), read_runtime().progress) as progress:
        for video in videos:
            name = names[video.video] = _fingerprint(video, params.dtype)
            if store.has(name):
                continue
            try:
                written = "from another run"
                with store.claimed(name) as missing:
                    if missing:
                        target = store.path(name)
                        written = _convert(root, video, target, params.dtype, name, weights_hash)
            except PipelineError as error:
                problems.append(str(error))
                written = "CANNOT BE USED"
            progress.step(video.video, written)
            converted += 1
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise PipelineError(
            f"{len(problems)} of {len(videos)} files of features cannot be used; the others are "
            f"done and kept:\n{listed}"
        )
    for stem, name in names.items():
        labels = {"video": stem, "weights": str(header["weights"])}
        labels["recipe"] = json.dumps(recipe, sort_keys=True)
        store.fill(name, output / f"{stem}.h5", labels)
    write_table(read_skipped(frames), output / "skipped.csv")
    write_table(read_masked(frames), output / "masked.csv")
    return f"{output}: {len(videos)} videos, features as given, {converted} converted"


def _fingerprint(video: GivenVideo, dtype: str) -> str:
    """Of the content and of what is made of it; neither names nor paths count."""
    return fingerprint(
        given=video.sha256,
        axes=video.axes,
        every=video.every,
        fps=video.fps,
        dtype=dtype,
        code=code_hash(given_features, rows),
        format=FORMAT_VERSION,
    )


def _convert(
    root: Path, video: GivenVideo, target: Path, dtype: str, name: str, weights_hash: str
) -> str:
    """Write the samples of a file, (T, D); a note for the terminal."""
    path = root / video.path
    array = read_array(path)
    by_time = array.T if video.axes == TIME_LAST else array
    if len(by_time) != video.frames:
        raise PipelineError(
            f"{path}: {len(by_time)} frames, but data/index/videos.csv tells of {video.frames}. "
            "Run `dvc repro`."
        )
    samples = np.ascontiguousarray(by_time[:: video.every], np.float32)
    try:
        stored = rows.stored_as(samples, dtype)
    except PipelineError as error:
        raise PipelineError(f"{path}: {error}") from None
    attributes = {
        "backbone": NETWORK,
        "weights_hash": weights_hash,
        "fps": video.fps / video.every,
        "fingerprint": name,
    }
    times = np.arange(video.frames, dtype=np.float64)[:: video.every] / video.fps
    write_features(target, stored, times, attributes)
    return f"{len(stored)} x {stored.shape[1]}"
