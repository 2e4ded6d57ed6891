"""What was run, as the page tells it."""

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.settings import PARAMS, read_params, read_value
from pipeline.tables import read_splits

if TYPE_CHECKING:  # torch takes two seconds to load, and only names are needed of it
    from pipeline.evaluate.efficiency import Cost

# Not results: where the data lies and how the machine is used differ from place to place.
_LOCAL = ("data.root", "runtime.")


def facts(
    backbone: Mapping[str, Any], temporal: Mapping[str, Any], cnn: "Cost", head: "Cost"
) -> list[tuple[str, str]]:
    """Name and text of what decides the figures.

    Args:
        backbone: Header of models/backbone.safetensors.
        temporal: Header of models/temporal.safetensors.
        cnn: Cost of the backbone.
        head: Cost of the temporal model.
    """
    counts = read_splits()["split"].value_counts()
    weights = backbone["weights"]
    if "weights_sha256" in backbone:
        weights += f" (SHA-256 {backbone['weights_sha256'][:12]})"
    videos = ", ".join(f"{counts.get(s, 0)} {s}" for s in ("train", "val", "test"))
    return [
        ("Data", f"layout {read_value('data.layout', str)}"),
        ("Split", f"{read_value('split.scheme', str)}: {videos} videos"),
        ("Phases", ", ".join(temporal["classes"])),
        ("Frames", f"{temporal['fps']:g} per second of video"),
        (
            "Backbone",
            f"{backbone['name']}, weights {weights}{training_of(backbone)}; {_cost(cnn)}",
        ),
        ("Temporal model", f"{temporal['kind']}, {_listed(temporal['model'])}; {_cost(head)}"),
        ("Looks into the future", "no (causal)" if temporal["causal"] else "yes (offline)"),
        ("Training", f"{_listed(temporal['train'])}, seed {temporal['seed']}"),
        ("Weights kept", f"epoch {temporal['best_epoch']} of {temporal['epochs']}"),
        (
            "Revision",
            f"parameters {digest(parameters())}; `python -m pipeline report` names the git "
            "revision that holds them",
        ),
    ]


def training_of(backbone: Mapping[str, Any]) -> str:
    """What was done to the backbone's weights before the features were taken."""
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
            text += ", so that the figures are transductive"
    return text


def untrained(backbone: Mapping[str, Any]) -> bool:
    """Whether the backbone's weights are random, and stayed so."""
    return backbone["weights"] == "random" and "finetune" not in backbone


def parameters(path: Path = PARAMS) -> list[tuple[str, str]]:
    """All of params.yaml that decides a result, by dotted key."""
    return flat_parameters(read_params(path))


def flat_parameters(params: Any) -> list[tuple[str, str]]:
    """What decides a result in the content of a params.yaml, by dotted key in rising order."""
    found: list[tuple[str, str]] = []

    def walk(prefix: str, node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(f"{prefix}.{key}" if prefix else str(key), value)
        elif not prefix.startswith(_LOCAL):
            found.append((prefix, "none" if node is None else str(node)))

    walk("", params)
    return sorted(found)  # another order in the file is no other result


def digest(found: Sequence[tuple[str, str]]) -> str:
    """Twelve hexadecimal digits that stand for the parameters, however the file is laid out.

    The git revision itself cannot stand in the report: the same parameters would give another one
    with each commit, and one that is not committed yet has none.
    """
    text = "\n".join(f"{key}: {value}" for key, value in found)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def revision_of(wanted: str, path: Path = PARAMS) -> str | None:
    """The newest git revision whose params.yaml has this digest; None where there is none."""
    try:
        log = _git("log", "--format=%h", "--", str(path)).split()
        for revision in log:
            content = yaml.safe_load(_git("show", f"{revision}:./{path}"))
            if digest(flat_parameters(content)) == wanted:
                return revision
    except (OSError, subprocess.CalledProcessError, yaml.YAMLError):
        return None
    return None


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout


def _cost(cost: "Cost") -> str:
    return f"{cost.parameters / 1e6:.2f} M parameters, {_flops(cost.flops_per_frame)} per frame"


def _flops(flops: int) -> str:
    return f"{flops / 1e9:.2f} GFLOP" if flops >= 1e8 else f"{flops / 1e6:.2f} MFLOP"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {'none' if v is None else v}" for key, v in values.items())
