"""Initial weights of whatever backbone.name says: one network, or several."""

from collections.abc import Sequence
from typing import Any

import torch

from pipeline.backbone.params import BackboneParams
from pipeline.backbone.weights import InitialWeights, initial_weights, random_weights
from pipeline.backbone_parts import joined
from pipeline.errors import PipelineError
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.hybrid import normalisations
from pipeline.networks.backbones.transform_record import recorded
from pipeline.seeding import derived_seed


def initial_weights_of(params: BackboneParams, seed: int) -> InitialWeights:
    """The weights before any training.

    Of a hybrid, the header gets `parts`: what is known of each network's weights. The transform is
    that of the first one; where they stay frozen, side by side, each keeps its own.

    Args:
        params: The section `backbone`.
        seed: Of the run, for random weights and for the fusion.

    Raises:
        PipelineError: There are no such weights, they belong to another architecture, or the
            networks cannot see the same image.
    """
    parts = [initial_weights(name, weights, seed) for name, weights in params.parts]
    if not params.is_hybrid:
        return parts[0]
    names = [name for name, _ in params.parts]
    source: dict[str, Any] = {
        "weights": _listed([part.source["weights"] for part in parts]),
        "parts": [_record(name, part) for name, part in zip(names, parts, strict=True)],
    }
    tensors, dim = joined([part.tensors for part in parts]), sum(part.dim for part in parts)
    if not params.side_by_side:
        dim = _dim_at(params.network, parts[0].transform.cropped(params.crop).crop_px)
        # Of this, only the weights of the fusion stay.
        tensors = random_weights(params.network, derived_seed(seed, "fusion")) | tensors
        try:
            transforms = [part.transform for part in parts]
            tensors["scale"], tensors["shift"] = normalisations(transforms)
        except ValueError as error:
            raise PipelineError(
                f"params.yaml: backbone.name: networks that are trained or adapted together see "
                f"the same image, but {error}. Allowed for these: mode: frozen."
            ) from None
    return InitialWeights(tensors, dim, parts[0].transform, source)


def _record(name: str, part: InitialWeights) -> dict[str, Any]:
    return {"name": name, "dim": part.dim, "transform": recorded(part.transform), **part.source}


def _listed(weights: Sequence[str]) -> str:
    """One text: each network's weights, or those that they share."""
    return weights[0] if len(set(weights)) == 1 else " + ".join(weights)


def _dim_at(name: str, crop_px: int) -> int:
    """Length of the fused vector.

    Raises:
        PipelineError: A network cannot read images of this size, which is the first one's.
    """
    with torch.device("meta"), torch.no_grad():  # no memory, no numbers
        backbone = build_backbone(name)
        try:
            backbone.network.eval()(torch.empty(1, 3, crop_px, crop_px))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise PipelineError(
                f"params.yaml: backbone.name: networks that are trained or adapted together see "
                f"images of the first one's size, here {crop_px} px, which one of {name} cannot "
                f"read ({error}). Set backbone.crop and features.crop to the size that it wants."
            ) from None
    return backbone.dim
