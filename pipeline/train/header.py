"""The header of models/temporal.safetensors: all that leads from a raw video to predictions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.train.loop import Trained
from pipeline.train.members import Training


def header_of(task: Training, classes: Sequence[str], trained: Trained) -> dict[str, Any]:
    """The network, what its features are made from, and how its weights came about.

    Args:
        task: What was trained.
        classes: Names in class order.
        trained: The result.
    """
    first = task.training[0]
    seen = {int(label) for video in task.training for label in np.unique(video.labels)}
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
        "train": task.params.deciding(),
        "epochs": len(trained.history),
        "best_epoch": trained.best_epoch,
    }
