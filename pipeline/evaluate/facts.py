"""What was run, in sentences for the report page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.evaluate.before_after import applied
from pipeline.evaluate.parameters import flat_parameters
from pipeline.feature_store import read_attributes
from pipeline.given_features import NETWORK
from pipeline.networks.cost import Cost, sequence_cost
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.postprocess.applied import looks_ahead
from pipeline.tables import read_folds, read_splits


def facts(
    backbone: Mapping[str, Any],
    temporal: Mapping[str, Any],
    parameters: Mapping[str, str],
    backbone_cost: Cost | None,
    head_cost: Cost,
) -> list[tuple[str, str]]:
    """Name and text of what decides the metrics.

    Args:
        backbone: Header of models/backbone.safetensors.
        temporal: Header of models/temporal.safetensors.
        parameters: As shown_parameters gives them.
        backbone_cost: At the crop of the features; None where their files do not say it.
        head_cost: Of the temporal model.
    """
    return [
        ("Data", f"layout {parameters['data.layout']}"),
        ("Split", f"{parameters['split.scheme']}: {_videos()}"),
        ("Phases", ", ".join(temporal["classes"])),
        ("Frames", f"{temporal['fps']:g} per second of video"),
        ("Backbone", _network(backbone, backbone_cost)),
        ("Temporal model", f"{temporal['kind']}, {_listed(temporal['model'])}; {_cost(head_cost)}"),
        ("Looks into the future", _future(temporal)),
        ("Training", f"{_listed(temporal['train'])}, seed {temporal['seed']}"),
        ("Weights kept", _kept(temporal)),
        *applied(temporal),
    ]


def _future(temporal: Mapping[str, Any]) -> str:
    if not temporal["causal"]:
        return "yes (offline)"
    return "yes (offline post-processing)" if looks_ahead(temporal) else "no (causal)"


def _videos() -> str:
    """How many there are in each split, or in how many folds."""
    folds = read_folds()
    if None not in folds:
        return f"{len(read_splits(fold=folds[0]))} videos in {len(folds)} folds"
    counts = read_splits()["split"].value_counts()
    return ", ".join(f"{counts.get(s, 0)} {s}" for s in ("train", "val", "test")) + " videos"


def _kept(temporal: Mapping[str, Any]) -> str:
    """The epochs of the trainings in the file; there may be several."""
    if "members" not in temporal:
        return f"epoch {temporal['best_epoch']} of {temporal['epochs']}"
    members = temporal["members"]
    best = ", ".join(str(member["best_epoch"]) for member in members)
    return f"of {len(members)} trainings, one per fold and seed: epochs {best}"


def _network(backbone: Mapping[str, Any], cost: Cost | None) -> str:
    """Which network made the features."""
    if backbone["name"] == NETWORK:
        return "none here: the data set brings its features itself"
    weights = backbone["weights"]
    if "weights_sha256" in backbone:
        weights += f" (SHA-256 {backbone['weights_sha256'][:12]})"
    network = f"{backbone['name']}, weights {weights}{training_of(backbone)}"
    return network if cost is None else f"{network}; {_cost(cost)}"


def training_of(backbone: Mapping[str, Any]) -> str:
    """What was done to the backbone's weights before the features were taken."""
    if "folds" in backbone:
        each = [f"fold {fold}{training_of(own)}" for fold, own in backbone["folds"].items()]
        return f"; a backbone for each fold: {'; '.join(each)}"
    text = ""
    if "finetune" in backbone:
        done = backbone["finetune"]
        text += (
            f", fine-tuned on {done['training_frames']:,} frames of {done['training_videos']} "
            f"training videos ({done['strategy']}, epoch {done['best_epoch']} of "
            f"{done['epochs']} kept)"
        )
    if "adabn" in backbone:
        done = backbone["adabn"]
        text += (
            f", batch norm re-estimated on {done['frames']:,} frames of {len(done['videos'])} "
            f"videos ({done['split']}), without labels"
        )
        if done["split"] in ("test", "all"):
            text += ", so that the metrics are transductive"
    return text


def untrained(backbone: Mapping[str, Any]) -> bool:
    """Whether the weights of the backbone, or of a network in it, are random, and stayed so."""
    parts = backbone.get("parts", [backbone])
    each = backbone.get("folds", {"": backbone}).values()
    trained = all("finetune" in own for own in each)
    return any(part["weights"] == "random" for part in parts) and not trained


def cost_in(attributes: Mapping[str, Any]) -> Cost | None:
    """The backbone's cost at the crop of the features, from the attributes of their file."""
    keys = ("backbone_parameters", "backbone_flops_per_frame")
    if any(key not in attributes for key in keys):
        return None
    return Cost(*(int(attributes[key]) for key in keys))


def _cost(cost: Cost) -> str:
    return f"{cost.parameters / 1e6:.2f} M parameters, {_flops(cost.flops_per_frame)} per frame"


def _flops(flops: int) -> str:
    return f"{flops / 1e9:.2f} GFLOP" if flops >= 1e8 else f"{flops / 1e6:.2f} MFLOP"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {text}" for key, text in flat_parameters(values).items())


def measured_facts(
    features: Path,
    network: TemporalModule,
    backbone: Mapping[str, Any],
    temporal: Mapping[str, Any],
    parameters: Mapping[str, str],
) -> list[tuple[str, str]]:
    """The facts with what both networks cost.

    Args:
        features: The features file of any test video, which says what the backbone cost.
        network: The temporal model.
        backbone: Header of models/backbone.safetensors.
        temporal: Header of models/temporal.safetensors.
        parameters: As shown_parameters gives them.
    """
    head = sequence_cost(network, network.dim)
    return facts(backbone, temporal, parameters, cost_in(read_attributes(features)), head)
