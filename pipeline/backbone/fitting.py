"""Tensors of a file, fitted to the architecture that they are meant for."""

import re

import torch

from pipeline.errors import PipelineError
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.contract import Tensors

_PREFIX = re.compile(r"^(?:(?:module|backbone|model)\.)+")
# What torchvision, timm and many training scripts call the classifier, whatever the family.
_CLASSIFIERS = ("fc.", "classifier.", "head.")


def fit_to(name: str, tensors: Tensors, source: str) -> Tensors:
    """Tensors under the names of the architecture, without prefixes and classifier.

    Args:
        name: Of the backbone.
        tensors: As they stand in a file.
        source: What errors call them.

    Raises:
        PipelineError: A tensor is missing, left over, or of another shape; lists them, and says
            how many of the architecture's were found.
    """
    with torch.device("meta"):  # names, shapes and types are enough
        backbone = build_backbone(name)
    classifiers = (*backbone.classifier_keys, *_CLASSIFIERS)
    expected = backbone.network.state_dict()
    plain = backbone.translate({_PREFIX.sub("", key): value for key, value in tensors.items()})
    found = {
        key: value
        for key, value in plain.items()
        if key in expected or not key.startswith(classifiers)
    }
    for key, value in expected.items():
        # Counts batches during training only; files from before 2018 do not have it.
        if key.endswith("num_batches_tracked"):
            found.setdefault(key, torch.zeros(value.shape, dtype=value.dtype))
    missing = [key for key in expected if key not in found]
    unexpected = [key for key in found if key not in expected]
    shapes = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    if missing or unexpected or shapes:
        fitting = len(expected) - len(missing) - len(shapes)
        lines = [
            f"  {title} ({len(names)}): {_listed(names)}"
            for title, names in (
                ("missing", missing),
                ("unexpected", unexpected),
                ("other shape", shapes),
            )
            if names
        ]
        raise PipelineError(
            f"{source}: these are not weights of {name}; {fitting} of its {len(expected)} tensors "
            "fit.\n" + "\n".join(lines) + "\n"
            "Set backbone.name to the architecture they belong to, or rename the tensors."
        )
    return {key: found[key].to(expected[key].dtype) for key in expected}


def _listed(names: list[str], most: int = 12) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
