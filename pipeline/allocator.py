"""The memory that a network frees and wants again for its next batch."""

import ctypes

# Numbers of mallopt(3).
_MMAP_THRESHOLD, _TRIM_THRESHOLD, _TOP_PAD = -3, -1, -2
_GIB, _MIB = 1 << 30, 1 << 20


def keep_freed_memory() -> None:
    """Have the C library keep what this process frees, where it is glibc.

    As it comes it returns large blocks to the kernel, which hands each batch's activations out
    anew, cleared page by page: a tenth to a fifth of a forward pass (benchmarks/README.md). Other
    C libraries keep their ways.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # neither Windows nor macOS has it
        return
    # Older versions refuse more than 32 MiB; without either, the rest would do harm.
    if not mallopt(_MMAP_THRESHOLD, _GIB) and not mallopt(_MMAP_THRESHOLD, 32 * _MIB):
        return
    mallopt(_TRIM_THRESHOLD, 2 * _GIB - 1)
    mallopt(_TOP_PAD, 64 * _MIB)
