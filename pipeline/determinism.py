"""Kernels whose choice and rounding repeat, the same for every stage that uses torch."""

import os


def use_deterministic_kernels() -> None:
    """Have torch compute the same bits from the same numbers on the same type of device.

    Call it before anything is computed on a GPU: cuBLAS reads its variable when it starts. fp32
    means fp32 in every stage: TensorFloat-32 would round the inputs of convolutions, recurrent
    layers and matrix products to 10 bits.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    # Where torch has no such kernel it warns, and a training still ends. The same as
    # torch.use_deterministic_algorithms, which loads the compiler for a second to tell it as well.
    torch.set_deterministic_debug_mode("warn")
    # Otherwise torch.empty() writes every new tensor full, which nothing here reads.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
