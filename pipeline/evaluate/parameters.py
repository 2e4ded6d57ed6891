"""The parameters that a report shows: those that decided it, as the models' headers keep them.

params.yaml may have changed since the models were trained, and most of its keys are no dependency
of the evaluate stage: only what DVC tracks for this stage is read from it.
"""

import hashlib
from collections.abc import Mapping
from pathlib import PureWindowsPath
from typing import Any

from pipeline.evaluate.params import EvaluateParams
from pipeline.task import TaskParams

_OF_TEMPORAL = ("frames", "features", "model", "train")
# What some schemes read besides.
_OF_SCHEME = {
    "bundles": ("bundle", "val_share"),
    "kfold": ("folds", "group", "stratify", "fold", "val_share"),
    "leave_one_group_out": ("group", "fold", "val_share"),
}
# Where the data lies and how the machine is used differ between machines and decide no result.
_LOCAL = ("data.root", "runtime.")
_WEIGHTS_FILES = (".pth", ".pt", ".safetensors")


def shown_parameters(
    backbone: Mapping[str, Any],
    temporal: Mapping[str, Any],
    params: EvaluateParams,
    layout: str,
    split: Mapping[str, Any],
) -> dict[str, str]:
    """What decided the result, by dotted key of params.yaml in rising order.

    Args:
        backbone: Header of models/backbone.safetensors.
        temporal: Header of models/temporal.safetensors. Groups that a header lacks are left out.
        params: The section `evaluate`.
        layout: data.layout.
        split: The section `split`; what only one scheme reads is shown for that one.
    """
    tree: dict[str, Any] = {
        name: temporal[name] for name in _OF_TEMPORAL if isinstance(temporal.get(name), Mapping)
    }
    of_backbone = backbone.get("params", temporal.get("backbone"))
    if isinstance(of_backbone, Mapping):
        tree["backbone"] = of_backbone
    if isinstance(tree.get("model"), Mapping) and "kind" not in tree["model"]:
        tree["model"] = _with_kind(temporal["kind"], tree["model"])
    if "postprocess" in temporal:
        tree["postprocess"] = temporal["postprocess"]["params"]
    if "task" in temporal:
        # Mean and standard deviation of a score are no parameters.
        tree["task"] = {k: v for k, v in temporal["task"].items() if k in TaskParams.model_fields}
    if "seed" in temporal:
        tree["seed"] = temporal["seed"]
    tree["evaluate"] = params.model_dump()
    read = _OF_SCHEME.get(split["scheme"], ())
    shown = {key: split[key] for key in read if split.get(key) is not None}
    tree |= {"data": {"layout": layout}, "split": {"scheme": split["scheme"]} | shown}
    return flat_parameters(tree)


def _with_kind(kind: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The section `model`: numbers of a recurrent network lie in it, others in that of a kind."""
    return {"kind": kind, **(numbers if kind == "rnn" else {kind: numbers})}


def flat_parameters(tree: Mapping[str, Any]) -> dict[str, str]:
    """The content of a params.yaml as texts by dotted key, without what decides no result."""
    found: dict[str, str] = {}

    def walk(prefix: str, node: Any) -> None:
        if isinstance(node, Mapping):
            for key, value in node.items():
                walk(f"{prefix}.{key}" if prefix else str(key), value)
        elif not prefix.startswith(_LOCAL):
            found[prefix] = _text(node)

    walk("", tree)
    return dict(sorted(found.items()))  # another order in the file is no other result


def digest(parameters: Mapping[str, str]) -> str:
    """Twelve hexadecimal digits that stand for the parameters, however their file is laid out.

    The git revision cannot be in the report: the same parameters would give another page with each
    commit, and what is not committed has none.
    """
    text = "\n".join(f"{key}: {value}" for key, value in parameters.items())
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _text(value: Any) -> str:
    """One text per value: the same for 10, 10.0 and '1e1'; for a weights file, its name alone."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    try:
        return f"{float(value):.12g}"
    except ValueError:
        text = str(value)
    is_path = text.endswith(_WEIGHTS_FILES) or PureWindowsPath(text).root
    return PureWindowsPath(text).name if is_path else text
