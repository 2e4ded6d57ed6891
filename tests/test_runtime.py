"""What a run takes of the machine: processors and memory."""

import builtins
import io
import os
import platform
import subprocess
import sys

import pytest

from pipeline.runtime import RuntimeParams, cores


@pytest.mark.parametrize(
    ("limit", "expected"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 64)]
)
def test_a_container_with_less_processor_time_is_given_fewer_threads(monkeypatch, limit, expected):
    """The file is that of control groups, version 2, as Docker's --cpus writes it."""
    opened = builtins.open
    exists = os.path.exists
    limits = "/sys/fs/cgroup/cpu.max"

    def fake(path, *arguments, **options):
        return io.StringIO(limit + "\n") if path == limits else opened(path, *arguments, **options)

    monkeypatch.setattr(builtins, "open", fake)
    monkeypatch.setattr(os.path, "exists", lambda path: path == limits or exists(path))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)
    assert cores() == expected
    assert RuntimeParams().thread_count == RuntimeParams().worker_count == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no processes")
def test_a_process_bound_to_one_processor_uses_one():
    one = min(os.sched_getaffinity(0))
    found = subprocess.check_output(
        [
            sys.executable,
            "-c",
            f"import os; os.sched_setaffinity(0, [{one}])\n"
            "from pipeline.runtime import cores; print(cores())",
        ]
    )
    assert int(found) == 1


# How often the kernel had to hand out a page for 64 MiB that were free a moment ago.
_FAULTS = """
import ctypes, resource, sys
from pipeline.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
c = ctypes.CDLL(None)
c.prctl(41, 1, 0, 0, 0)  # no huge pages, of which a few would do
c.malloc.restype = ctypes.c_void_p
c.malloc.argtypes, c.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
def use():
    block = c.malloc(64 << 20)
    ctypes.memset(block, 1, 64 << 20)
    c.free(block)
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep their ways")
def test_freed_memory_is_not_asked_for_again():
    plain, kept = (
        int(subprocess.check_output([sys.executable, "-c", _FAULTS, mode])) for mode in ("", "keep")
    )
    assert plain > 100
    assert kept < plain / 10
