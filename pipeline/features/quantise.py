"""A CNN in eight bits: post-training static quantisation, for processors with integer products."""

import copy
import warnings
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from pipeline.errors import PipelineError

# In this order by measurement on ResNet-50 (benchmarks/README.md).
_ENGINES = ("x86", "onednn", "qnnpack")


def engine() -> str:
    """The kernels for int8 of this build of torch.

    Raises:
        PipelineError: It has none.
    """
    supported = torch.backends.quantized.supported_engines
    for name in _ENGINES:
        if name in supported:
            return name
    raise PipelineError(
        "params.yaml: features.precision: found int8, but this build of torch has no kernels for "
        f"it (found {', '.join(supported) or 'none'}, needs one of {', '.join(_ENGINES)}). "
        "Allowed here: fp32, bf16."
    )


class _InFull(nn.Module):
    """A part of the network that stays in fp32: quantisation leaves this class alone."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.part(values)
        return result


def quantise(
    folded: nn.Module, batches: Iterable[torch.Tensor], in_full: Sequence[str]
) -> nn.Sequential:
    """The network with weights in int8 per channel and activations in uint8 per tensor.

    Scales come from the histograms of the activations over some images (Jacob et al., Quantization
    and Training of Neural Networks, CVPR 2018; as in torch.ao.quantization).

    Args:
        folded: From pipeline.networks.backbones.fold.fold with a transform, in fp32.
        batches: Images (B, 3, H, W) uint8 that stand for all others.
        in_full: Names of the submodules of its network that stay in fp32.

    Returns:
        A network of the same images, to (B, D) float32; runs on the CPU only.

    Raises:
        PipelineError: This build of torch cannot do it.
    """
    name = engine()
    torch.backends.quantized.engine = name
    with warnings.catch_warnings():
        # Most announce that torch will leave this to torchao, whose quantiser for x86 needs a
        # compiler on the user's machine; one is about torch's choice of observers.
        warnings.filterwarnings("ignore", ".*torch.ao.quantization", DeprecationWarning)
        warnings.filterwarnings("ignore", "Please use quant_min and quant_max", UserWarning)
        warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
        from torch.ao.quantization import get_default_qconfig_mapping
        from torch.ao.quantization.fx.custom_config import PrepareCustomConfig
        from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

        border, network = copy.deepcopy(folded).children()
        for part in in_full:
            network.set_submodule(part, _InFull(network.get_submodule(part)))
        config = PrepareCustomConfig().set_non_traceable_module_classes([_InFull])
        prepared = None
        with torch.no_grad():
            for images in batches:
                pixels = border(images)
                if prepared is None:
                    mapping = get_default_qconfig_mapping(name)
                    for kind in (_InFull, torch.flatten, nn.Identity):
                        mapping.set_object_type(kind, None)
                    prepared = prepare_fx(network, mapping, (pixels,), config)
                prepared(pixels)
            assert prepared is not None, "no images to take the scales from"
            quantised = nn.Sequential(border, convert_fx(prepared)).eval()
            # Here and not at first use, because torch warns once, of the first quantised tensor.
            quantised(images)
            return quantised
