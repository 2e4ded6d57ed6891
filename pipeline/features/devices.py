"""Where the backbone runs, and what that processor is good at."""

import torch

from pipeline.errors import PipelineError
from pipeline.features.params import FeaturesParams
from pipeline.runtime import RuntimeParams, chosen_gpus


def devices_for(runtime: RuntimeParams, params: FeaturesParams) -> list[torch.device]:
    """The GPUs of `runtime.devices`, or the CPU where there are none or it was asked for.

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
    found = [] if integer else chosen_gpus(runtime)
    if not found:
        if params.decoder == "nvjpeg":
            raise PipelineError(
                "params.yaml: features.decoder: found nvjpeg, which needs a GPU, but these "
                "features are computed on the CPU. Allowed there: opencv."
            )
        return [torch.device("cpu")]
    return [torch.device("cuda", number) for number in found]


def advice(device: torch.device, precision: str) -> str | None:
    """What a user should know of this precision on this device, in one line; None if nothing."""
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
