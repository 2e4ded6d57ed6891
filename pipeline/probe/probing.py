"""The command: every backbone's features, probed, into reports/probe.json."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch

from pipeline import paths
from pipeline.atomic import write_text
from pipeline.determinism import use_deterministic_kernels
from pipeline.errors import PipelineError
from pipeline.feature_store import read_attributes
from pipeline.probe.extraction import candidates, extract, pin
from pipeline.probe.scores import Probed, probed
from pipeline.result_store import store_root
from pipeline.runtime import read_runtime
from pipeline.sequences import read_split
from pipeline.tables import read_phases

Split = Literal["val", "test"]


@dataclass(frozen=True)
class Row:
    """One backbone.

    Attributes:
        backbone: Name.
        weights: Where its weights come from.
        dim: Length of the feature vector.
        probed: What its features tell.
        images_per_s: Of the extraction; None where all features were there.
        probe_ms: Milliseconds that reading the features and both classifiers took.
    """

    backbone: str
    weights: str
    dim: int
    probed: Probed
    images_per_s: float | None
    probe_ms: int


def probe(backbones: str | None, split: Split, report: Path = paths.PROBE) -> list[Row]:
    """Probe backbones and write their rows.

    Args:
        backbones: As `candidates` takes it; None probes what lies in features/videos.
        split: Whose videos are scored. Those of test are read for `test` only.
        report: The JSON file.

    Raises:
        PipelineError: No such backbone or weights, or no frames, features or labels.
    """
    torch.set_num_threads(read_runtime().thread_count)
    use_deterministic_kernels()
    rows = [_row(paths.FEATURES, None, split)] if backbones is None else rows_of(backbones, split)
    content = {"split": split, "backbones": [asdict(row) for row in rows]}
    write_text(report, json.dumps(content, indent=2, sort_keys=True) + "\n")
    return rows


def rows_of(backbones: str, split: Split) -> list[Row]:
    """The rows of backbones, as `candidates` takes them, without writing them.

    Raises:
        PipelineError: As `probe`.
    """
    found = candidates(backbones)
    with _scratch() as folder:
        weights = [folder / f"{number}.safetensors" for number in range(len(found))]
        # All of them first: a slip in the last name must not wait for the features of the others.
        for candidate, path in zip(found, weights, strict=True):
            pin(candidate, path)
        return [_extracted_row(path, split) for path in weights]


def _extracted_row(weights: Path, split: Split) -> Row:
    with _scratch() as features:
        images_per_s = extract(weights, features)
        return _row(features, images_per_s, split)


def _row(features: Path, images_per_s: float | None, split: Split) -> Row:
    files = sorted(features.glob("*.h5"))
    if not files:
        raise PipelineError(f"{features}: holds no features. Run `dvc repro features` first.")
    started = time.perf_counter()
    training = read_split("train", features)
    found = probed(training, read_split(split, features), read_phases())
    attributes = read_attributes(features / f"{training[0].video}.h5")
    return Row(
        backbone=str(attributes["backbone"]),
        weights=str(attributes["weights"]),
        dim=training[0].features.shape[1],
        probed=found,
        images_per_s=images_per_s,
        probe_ms=round(1000 * (time.perf_counter() - started)),
    )


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for the time of the block, on the disk of the store, which has room for features."""
    store_root().mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="probe-", dir=store_root()) as folder:
        yield Path(folder)
