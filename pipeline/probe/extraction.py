"""The features of a backbone that is not the one of params.yaml, through the store.

They are stored under the fingerprints that the features stage would give them, so that a later
`dvc repro` with this backbone finds them. params.yaml, models/ and features/ stay as they are.
"""

import time
from pathlib import Path

from pipeline.backbone.hybrid_weights import initial_weights_of
from pipeline.backbone.params import BackboneParams
from pipeline.backbone.stage import header_of
from pipeline.checkpoint import save_checkpoint
from pipeline.errors import PipelineError
from pipeline.feature_store import read_features
from pipeline.features import stage
from pipeline.networks.backbones import reads_clips
from pipeline.result_store import Store
from pipeline.settings import read_section, read_value


def candidates(text: str) -> list[BackboneParams]:
    """What --backbones lists, each as the section `backbone` would say it, frozen.

    Args:
        text: Names, or name=weights, separated by commas: `resnet50=IMAGENET1K_V2,resnet18`. A name
            without weights gets those of params.yaml; `resnet50+densenet121` is a hybrid.

    Raises:
        PipelineError: No family has a name, its networks read clips, or it has no weights.
    """
    return [_candidate(*item.strip().partition("=")[::2]) for item in text.split(",")]


def _candidate(name: str, weights: str) -> BackboneParams:
    parts = name.split("+")
    for part in parts:
        try:
            clips = reads_clips(part) or "@" in part
        except ValueError as error:
            raise PipelineError(f"--backbones: {error}.") from None
        if clips:
            raise PipelineError(
                f"--backbones: found {part!r}. Allowed: networks that read single images. Those "
                f"that read clips need frames of their own: `dvc exp run -S backbone.name={part}`, "
                "then `probe` without --backbones."
            )
    known = weights or read_section(BackboneParams, "backbone").weights
    if not isinstance(known, str):
        raise PipelineError(
            f"--backbones: found {name} without weights, and backbone.weights of params.yaml is a "
            f"list. Write {name}=IMAGENET1K_V1, or what else it has."
        )
    return BackboneParams(name=parts if len(parts) > 1 else name, weights=known)


def pin(candidate: BackboneParams, path: Path) -> None:
    """Write the weights as the stage of the backbone would.

    Raises:
        PipelineError: There are no such weights, or they belong to another architecture.
    """
    initial = initial_weights_of(candidate, read_value("seed", int))
    save_checkpoint(path, initial.tensors, header_of(candidate, initial))


def extract(weights: Path, folder: Path) -> float | None:
    """Fill a folder with the features of all videos; compute those that the store lacks.

    Args:
        weights: What `pin` wrote.
        folder: Takes the place of features/videos.

    Returns:
        Images per second, all that the stage does included; those of a hybrid count once for each
        of its networks. None where the store had everything.

    Raises:
        PipelineError: As the features stage.
    """
    before = _stored()
    started = time.perf_counter()
    stage.run(backbone=weights, output=folder)
    elapsed_s = time.perf_counter() - started
    images = sum(len(read_features(path).time_s) for path in _stored() - before)
    return images / elapsed_s if images else None


def _stored() -> set[Path]:
    return set(Store("features").folder.glob("*.h5"))
