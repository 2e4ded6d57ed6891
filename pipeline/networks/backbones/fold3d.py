"""A 3D CNN with batch norm folded into its convolutions: the same function up to rounding."""

import copy
from collections import OrderedDict

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pipeline.networks.backbones.transform import Transform


def fold3d(network: nn.Module, transform: Transform | None = None) -> nn.Module:
    """The network with the batch norms that follow a convolution folded into it.

    Args:
        network: In evaluation mode; clips (B, L, 3, H, W) float, normalised, to (B, D). It is left
            as it is.
        transform: Whose normalisation to do as well. It is done before the network and not folded
            into its weights.

    Returns:
        A network of the same clips; with a transform, a Sequential of `normalise` and `network`
        that takes clips (B, L, 3, H, W) with the values 0 to 255, of any type.

    Raises:
        ValueError: The network is in training mode, where batch norm is no affine map.
    """
    if network.training:
        raise ValueError("batch norm can be folded in evaluation mode only")
    network = copy.deepcopy(network)
    folded = fx.GraphModule(network, _Tracer().trace(network))
    modules = dict(folded.named_modules())
    for node in list(folded.graph.nodes):
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm3d):
            continue
        before = node.args[0]
        convolution = modules.get(str(before.target))
        if not isinstance(convolution, nn.Conv3d) or len(before.users) > 1:
            continue
        folded.set_submodule(before.target, fuse_conv_bn_eval(convolution, norm))
        node.replace_all_uses_with(before)
        folded.graph.erase_node(node)
    folded.delete_all_unused_submodules()
    folded.graph.lint()
    folded.recompile()
    if transform is None:
        return folded
    return nn.Sequential(OrderedDict(normalise=NormalisePixels(transform), network=folded))


class _Tracer(fx.Tracer):
    """Sees torchvision's own kinds of convolutions as what they are, and not what they do."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv3d) or super().is_leaf_module(m, module_qualified_name)


class NormalisePixels(nn.Module):
    """Pixel values 0 to 255 to normalised ones.

    Args:
        transform: Mean and scale of the pixels.
    """

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", 255 * torch.tensor(transform.mean).view(3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(transform.std).view(3, 1, 1))

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """Clips (B, L, 3, H, W) of any type to float32."""
        return (clips.float() - self.mean) / self.std
