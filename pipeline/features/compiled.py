"""torch.compile with the weights frozen into the kernels, where there is a compiler."""

import logging
from collections.abc import Callable

import torch
from torch import nn

Forward = Callable[[torch.Tensor], torch.Tensor]


def compiled(
    network: nn.Module, example: torch.Tensor, say: Callable[[str], None]
) -> tuple[Forward, bool]:
    """The network compiled for batches of one shape, or as it is where that fails.

    Takes some twenty seconds, and a few from the cache that torch keeps between runs
    (TORCHINDUCTOR_CACHE_DIR). On a GPU the kernels are replayed as one CUDA graph.

    Args:
        network: In evaluation mode.
        example: A batch on the network's device.
        say: Takes the one line that says why it was not compiled.

    Returns:
        What to call, and whether it is compiled.
    """
    import torch._inductor.config as inductor_config

    options: dict[str, str | int | bool | Callable[..., object]] = {
        "freezing": True,
        "triton.cudagraphs": example.is_cuda,
    }
    # What determinism.py leaves out for all others, since it takes a second to load.
    inductor_config.deterministic = True
    # On a machine without GPU torch warns, while it looks for a compiler, that it has no CUDA.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    forward = torch.compile(network, dynamic=False, options=options)
    try:
        with torch.inference_mode():
            forward(example)
    except torch.OutOfMemoryError:
        raise
    # Whatever a missing or unfit compiler makes torch raise, the network itself still runs.
    except Exception as error:
        cause = str(error).strip().splitlines() or [type(error).__name__]
        say(f"features: not compiled, runtime.compile needs a C++ compiler ({cause[0][:120]})")
        return network, False
    return forward, True
