"""A CNN with batch norm, and on request the normalisation of images, folded into its convolutions.

The same function up to rounding, with a third of the memory traffic: batch norm at inference is an
affine map per channel, and so is (image / 255 - mean) / std; both disappear into the weights of
the convolution beside them.
"""

import copy
from collections import OrderedDict

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pipeline.networks.backbones.transform import Transform


def fold(network: nn.Module, transform: Transform | None = None) -> nn.Module:
    """The network with nothing but convolutions, activations and additions.

    Args:
        network: In evaluation mode; images (B, 3, H, W) float, normalised, to (B, D). It is left
            as it is.
        transform: Whose normalisation to fold as well.

    Returns:
        A network of the same images; with a transform, a Sequential of `border` and `network` that
        takes images (B, 3, H, W) with the values 0 to 255, of any type.

    Raises:
        ValueError: The network is in training mode, where batch norm is no affine map.
    """
    if network.training:
        raise ValueError("batch norm can be folded in evaluation mode only")
    folded = fx.symbolic_trace(copy.deepcopy(network))
    modules = dict(folded.named_modules())
    for node in list(folded.graph.nodes):
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        before = node.args[0]
        convolution = modules.get(str(before.target))
        if not isinstance(convolution, nn.Conv2d) or len(before.users) > 1:
            continue
        folded.set_submodule(before.target, fuse_conv_bn_eval(convolution, norm))
        node.replace_all_uses_with(before)
        folded.graph.erase_node(node)
    border = None if transform is None else _fold_normalisation(folded, transform)
    folded.delete_all_unused_submodules()
    folded.graph.lint()
    folded.recompile()
    return folded if border is None else nn.Sequential(OrderedDict(border=border, network=folded))


class PaddedWithMean(nn.Module):
    """A border of the mean colour around the images, which is what zeros are once normalised.

    Args:
        mean: Of each channel, on the scale 0 to 255.
        border: Pixels to the left and right, and at the top and bottom.
    """

    def __init__(self, mean: torch.Tensor, border: tuple[int, int]) -> None:
        super().__init__()
        self.border = border
        self.mean: torch.Tensor
        self.register_buffer("mean", mean.view(1, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) of any type to (B, 3, H + 2 y, W + 2 x) of the type of the mean."""
        x, y = self.border
        count, channels, height, width = images.shape
        size = (count, channels, height + 2 * y, width + 2 * x)
        padded = self.mean.expand(size).contiguous(memory_format=torch.channels_last)
        padded[:, :, y : y + height, x : x + width] = images
        return padded


def _fold_normalisation(network: fx.GraphModule, transform: Transform) -> PaddedWithMean:
    """Let the first convolution take pixels: conv((p / 255 - m) / s) = conv'(p), with W / 255 s.

    Returns:
        The border that this convolution had, now to be put around the pixels.
    """
    image = next(node for node in network.graph.nodes if node.op == "placeholder")
    (first,) = image.users
    convolution = network.get_submodule(first.target)
    assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
    pixel_mean = 255 * torch.tensor(transform.mean, dtype=torch.float64)
    pixel_std = 255 * torch.tensor(transform.std, dtype=torch.float64)
    weight = convolution.weight.double() / pixel_std.view(1, 3, 1, 1)
    shift = (weight * pixel_mean.view(1, 3, 1, 1)).sum(dim=(1, 2, 3))
    with torch.no_grad():
        convolution.bias.copy_(convolution.bias.double() - shift)
        convolution.weight.copy_(weight)
    height, width = (int(side) for side in convolution.padding)
    convolution.padding = (0, 0)
    return PaddedWithMean(pixel_mean.float(), (width, height))
