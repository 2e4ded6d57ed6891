"""The features of a backbone that is not the one of params.yaml, through the store.

They are stored under the fingerprints that the features stage would give them, so that a later
`dvc repro` with this backbone finds them. params.yaml, models/ and features/ stay as they are.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.backbone.params import BackboneParams
from pipeline.backbone.weights import initial_weights
from pipeline.checkpoint import save_checkpoint
from pipeline.errors import PipelineError
from pipeline.feature_store import read_attributes, read_features
from pipeline.features import stage
from pipeline.networks.backbones import reads_clips
from pipeline.networks.backbones.transform_record import recorded
from pipeline.result_store import Store
from pipeline.settings import read_section, read_value


@dataclass(frozen=True)
class Candidate:
    """A backbone to be probed, frozen.

    Attributes:
        name: As backbone.name.
        weights: As backbone.weights.
    """

    name: str
    weights: str


def candidates(text: str) -> list[Candidate]:
    """What --backbones lists: names, or name=weights, separated by commas.

    Args:
        text: For example `resnet50=IMAGENET1K_V2,resnet18`; a name without weights gets those of
            backbone.weights in params.yaml, and random ones where these are a hybrid's list.

    Raises:
        PipelineError: No family has a name, or its networks read clips.
    """
    rule = read_section(BackboneParams, "backbone").weights
    # A hybrid's list of weights belongs to its own networks.
    usual = rule if isinstance(rule, str) else "random"
    pairs = (item.strip().partition("=") for item in text.split(","))
    found = [Candidate(name.strip(), weights.strip() or usual) for name, _, weights in pairs]
    for candidate in found:
        try:
            clips = reads_clips(candidate.name)
        except ValueError as error:
            raise PipelineError(f"--backbones: {error}.") from None
        if clips:
            raise PipelineError(
                f"--backbones: {candidate.name} reads clips, whose frames are stored for it alone. "
                f"Run `dvc exp run -S backbone.name={candidate.name}`, then `probe` without "
                "--backbones."
            )
        if "@" in candidate.name:
            raise PipelineError(f"--backbones: found {candidate.name!r}; leave out what follows @.")
    return found


def pin(candidate: Candidate, path: Path) -> None:
    """Write the weights as the stage of the backbone would in mode frozen.

    Raises:
        PipelineError: There are no such weights, or they belong to another architecture.
    """
    initial = initial_weights(candidate.name, candidate.weights, read_value("seed", int))
    header = {
        "name": candidate.name,
        "dim": initial.dim,
        "transform": recorded(initial.transform),
        "mode": "frozen",
    }
    save_checkpoint(path, initial.tensors, header | initial.source)


def extract(weights: Path, folder: Path) -> float | None:
    """Fill a folder with the features of all videos; compute those that the store lacks.

    Args:
        weights: What `pin` wrote.
        folder: Takes the place of features/videos.

    Returns:
        Images per second, all that the stage does included; None where the store had everything.

    Raises:
        PipelineError: As the features stage.
    """
    before = {path.stem for path in Store("features").folder.glob("*.h5")}
    started = time.perf_counter()
    stage.run(backbone=weights, output=folder)
    elapsed_s = time.perf_counter() - started
    new = [path for path in sorted(folder.glob("*.h5")) if _fingerprint(path) not in before]
    return _num_frames(new) / elapsed_s if new else None


def _fingerprint(path: Path) -> str:
    return str(read_attributes(path)["fingerprint"])


def _num_frames(paths: Sequence[Path]) -> int:
    return sum(len(read_features(path).time_s) for path in paths)
