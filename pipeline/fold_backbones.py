"""models/backbone.safetensors of a cross-validation in which each fold has a backbone of its own.

A backbone that learns from videos must not have seen the test videos of a fold. Such a file holds
the tensors of each fold under `folds.<fold>.`. Its header holds under `folds` the header of each,
by the fold's number as text, and beside it what these have in common.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.backbone_parts import Tensors
from pipeline.errors import PipelineError


def joined_folds(
    members: Mapping[int, tuple[Tensors, dict[str, Any]]],
) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and header of one file for the backbones of all folds.

    Args:
        members: Tensors and header of each, as its own file would hold them, by fold from 1.
    """
    tensors = {
        _prefix(fold) + name: tensor
        for fold, (own, _) in members.items()
        for name, tensor in own.items()
    }
    headers = [header for _, header in members.values()]
    common = {
        key: value
        for key, value in headers[0].items()
        if all(key in header and header[key] == value for header in headers)
    }
    return tensors, common | {"folds": {str(fold): own for fold, (_, own) in members.items()}}


def folds_in(header: Mapping[str, Any]) -> tuple[int | None, ...]:
    """The folds that have a backbone of their own; (None,) where one backbone is for everything.

    Args:
        header: Of models/backbone.safetensors.
    """
    return tuple(sorted(int(fold) for fold in header["folds"])) if "folds" in header else (None,)


def backbone_of_fold(
    tensors: Tensors, header: Mapping[str, Any], fold: int | None
) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and header of the backbone of a fold, as the file of that fold alone holds them.

    Args:
        tensors: Of models/backbone.safetensors.
        header: Of the same file.
        fold: From 1; None: of the only backbone.

    Returns:
        The file's own content where one backbone is for everything.

    Raises:
        PipelineError: The file holds a backbone per fold, and none for this one.
    """
    if "folds" not in header:
        return tensors, dict(header)
    if str(fold) not in header["folds"]:
        needed, way_out = f"that of fold {fold}", "Run `dvc repro`."
        if fold is None:
            needed = "one for all videos"
            way_out = (
                "Train on a single split: set split.fold to one of the folds, or another "
                "split.scheme, and run `dvc repro`."
            )
        raise PipelineError(
            "models/backbone.safetensors: holds a backbone for each of the folds "
            f"{', '.join(header['folds'])}, but {needed} is needed. {way_out}"
        )
    begin = _prefix(fold)
    own = {k.removeprefix(begin): t for k, t in tensors.items() if k.startswith(begin)}
    return own, dict(header["folds"][str(fold)])


def _prefix(fold: int | None) -> str:
    return f"folds.{fold}."
