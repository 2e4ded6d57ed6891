"""Features of several frozen networks, side by side in one file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.feature_store import read_features, write_features
from pipeline.result_store import Store, fingerprint


def write_side_by_side(
    names: Sequence[str], store: Store, target: Path, of_all: Mapping[str, Any]
) -> None:
    """Write one video's features of all networks, which the store holds each for itself.

    Straight into the output: the store would hold the same numbers twice, to save a copy.

    Args:
        names: Fingerprints of the features of each network, in the order of the networks.
        store: Holds them.
        target: The file; its rows are as long as those of all networks together.
        of_all: Attributes of all networks together, in place of their own.
    """
    parts = [read_features(store.used(name)) for name in names]
    attributes = joint_attributes([part.attributes for part in parts]) | dict(of_all)
    attributes["fingerprint"] = fingerprint(made="side by side", parts=list(names))
    features = np.concatenate([part.features for part in parts], axis=1)
    write_features(target, features, parts[0].time_s, attributes, parts[0].lost)


def joint_attributes(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the networks' files say of themselves, as one file says it.

    Costs are added. Where the networks differ, such as in their crops, there is one value each.
    """
    joint: dict[str, Any] = {}
    for key in parts[0]:
        values = [part[key] for part in parts]
        joint[key] = values[0] if all(value == values[0] for value in values) else values
    for cost in ("backbone_parameters", "backbone_flops_per_frame"):
        joint[cost] = sum(int(part[cost]) for part in parts)
    return joint
