"""Which channels of a ResNet stay, and its weights without the others."""

import torch

from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.contract import Tensors
from pipeline.networks.backbones.pruned import inner_layers, kept

_EPS = 1e-5
_OF_NORM = ("weight", "bias", "running_mean", "running_var")


def without_channels(original: str, percent: int, tensors: Tensors) -> Tensors:
    """The weights without the weakest channels inside the residual blocks.

    From the image to the top, each layer is judged by what the layers below it have left. A layer's
    channels leave its batch norm and the inputs of the convolution behind it as well.

    Args:
        original: Name of the whole network, one of PRUNABLE.
        percent: Share of each layer's channels that goes.
        tensors: Of the whole network; they stay as they are.

    Returns:
        Those of the network that pruned_name(original, percent) names.
    """
    with torch.device("meta"):  # names are enough
        layers = list(inner_layers(build_backbone(original).network))
    found = dict(tensors)
    for conv, norm, after in layers:
        strength = strengths(found, conv, norm)
        # Stable: of equally strong channels the first ones stay, on every machine.
        order = strength.argsort(descending=True, stable=True)
        stay = order[: kept(len(strength), percent)].sort().values
        found[f"{conv}.weight"] = found[f"{conv}.weight"][stay]
        for name in _OF_NORM:
            found[f"{norm}.{name}"] = found[f"{norm}.{name}"][stay]
        found[f"{after}.weight"] = found[f"{after}.weight"][:, stay]
    return {name: tensor.contiguous() for name, tensor in found.items()}


def strengths(tensors: Tensors, conv: str, norm: str) -> torch.Tensor:
    """How strong each channel of a convolution is, (channels,) float.

    The sum of its filter's absolute weights (Li et al., ICLR 2017), with batch norm folded into
    them, which the paper leaves out: what batch norm scales up or down says nothing by itself.
    """
    scale = tensors[f"{norm}.weight"].abs() / (tensors[f"{norm}.running_var"] + _EPS).sqrt()
    return scale * tensors[f"{conv}.weight"].abs().sum(dim=(1, 2, 3))
