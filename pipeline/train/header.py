"""The header of models/temporal.safetensors: all that leads from a raw video to predictions."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.task import TaskParams
from pipeline.train.loop import Trained
from pipeline.train.members import Member, Training

# `task` holds the mean and deviation of the scores of one fold.
_OF_MEMBER = ("seed", "epochs", "best_epoch", "classes_seen", "task")
# Of members as well, where each fold has a backbone of its own.
_OF_BACKBONE = ("weights_hash", "backbone")


def header_of(task: Training, trained: Trained) -> dict[str, Any]:
    """The network, what its features are made from, and how its weights came about.

    Args:
        task: What was trained.
        trained: The result.
    """
    videos, classes = task.videos, task.videos.classes
    first = videos.training[0]
    seen = {int(label) for video in videos.training for label in np.unique(video.labels)}
    return {
        # The groups of parameters behind the features: frames, features, backbone.
        **first.recipe,
        "kind": task.kind,
        "model": task.model.model_dump(),
        "dim": task.network.dim,
        "classes": list(classes),
        "classes_seen": [name for number, name in enumerate(classes) if number in seen],
        "causal": task.network.causal,
        "receptive_field": task.network.receptive_field,
        "weights_hash": first.weights_hash,
        "fps": first.fps,
        "seed": task.seed,
        "train": task.deciding,
        "epochs": len(trained.history),
        "best_epoch": trained.best_epoch,
        **(videos.asked.header() if videos.asked else {}),
    }


def header_of_all(headers: Mapping[Member, dict[str, Any]], seed: int) -> dict[str, Any]:
    """The header of a file that holds several trainings.

    What they have in common stands as in the header of one, with the classes that any of them saw
    and the project's seed; `members` says the rest, in the order of their tensors. The backbone is
    of the members where each fold has its own.

    Args:
        headers: Of each, as header_of gives it.
        seed: Of the project, from which folds were drawn.
    """
    first = next(iter(headers.values()))
    seen = {name for header in headers.values() for name in header["classes_seen"]}
    seeds = list(dict.fromkeys(member.seed for member in headers))
    of_member: tuple[str, ...] = _OF_MEMBER
    if len({header["weights_hash"] for header in headers.values()}) > 1:
        of_member += _OF_BACKBONE
    if any(header.get("int8") != first.get("int8") for header in headers.values()):
        of_member += ("int8",)  # each fold takes its scales from its training videos
    return {
        **{key: value for key, value in first.items() if key not in of_member},
        **({"task": _in_common(first["task"])} if "task" in first else {}),
        "classes_seen": [name for name in first["classes"] if name in seen],
        "seed": seed,
        "train": first["train"] | ({"seeds": seeds} if seeds != [seed] else {}),
        "members": [
            {"fold": member.fold} | {key: header[key] for key in of_member if key in header}
            for member, header in headers.items()
        ],
    }


def _in_common(task: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in task.items() if key in TaskParams.model_fields}
