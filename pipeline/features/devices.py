"""Where the backbone runs, and what that processor is good at."""

import torch

from pipeline.errors import PipelineError
from pipeline.features.params import FeaturesParams
from pipeline.runtime import RuntimeParams, gpus


def devices_for(runtime: RuntimeParams, params: FeaturesParams) -> list[torch.device]:
    """As many GPUs as `runtime.devices` says, or as there are; the CPU where there is none.

    int8 kernels exist for the CPU only, nvjpeg on a GPU only.

    Raises:
        PipelineError: A GPU was asked for that is not there, or that int8 cannot use.
    """
    integer = params.precision == "int8"
    if runtime.device == "cuda" and integer:
        raise PipelineError(
            "params.yaml: runtime.device: found cuda, but features.precision: int8 runs on a "
            "CPU. Allowed with int8: auto, cpu. On a GPU take features.precision: bf16."
        )
    found = 0 if integer else gpus(runtime)
    if not found:
        if params.decoder == "nvjpeg":
            raise PipelineError(
                "params.yaml: features.decoder: found nvjpeg, which needs a GPU, but these "
                "features are computed on the CPU. Allowed there: opencv."
            )
        return [torch.device("cpu")]
    return [torch.device("cuda", number) for number in range(min(found, runtime.devices))]


def advice(device: torch.device, precision: str) -> str | None:
    """What a user should know about this precision on this device, in one line."""
    if device.type == "cuda":
        if precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
            return "this GPU has no bf16 arithmetic: bf16 is emulated and slow, fp32 is faster"
        return None
    if not hasattr(torch.cpu, "get_capabilities"):  # torch before 2.11 cannot tell
        return None
    has = torch.cpu.get_capabilities()
    # x86 names first, then Arm's.
    if precision == "bf16" and not any(has.get(f) for f in ("avx512_bf16", "amx_bf16", "bf16")):
        return (
            "this processor has no bf16 arithmetic (avx512_bf16, amx_bf16, Arm bf16): "
            "bf16 gives the same features here, but no speed; fp32 is at least as fast"
        )
    integer = ("avx512_vnni", "avx_vnni", "amx_int8", "dot", "i8mm")
    if precision == "int8" and not any(has.get(f) for f in integer):
        return (
            "this processor has no integer dot product (VNNI, amx_int8, Arm dot): int8 saturates "
            "in places and gains little; see the cosine to fp32 in the files, or take bf16"
        )
    return None


def size_advice(height: int, width: int, resize_px: int) -> str | None:
    """Whether the stored frames are smaller than what the backbone wants to see of them.

    Args:
        height: Of the stored frames, in pixels.
        width: Likewise.
        resize_px: Short side to which the transform of the backbone resizes them.
    """
    short_side = min(height, width)
    if short_side >= resize_px:
        return None
    return (
        f"frames of {short_side} px are enlarged to {resize_px} px, which adds no detail: set "
        f"frames.short_side: {resize_px}, or a smaller features.crop"
    )
