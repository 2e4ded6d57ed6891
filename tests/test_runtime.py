"""What a run takes of the machine: processors and memory."""

import platform
import subprocess
import sys

import pytest

from pipeline import runtime
from pipeline.runtime import RuntimeParams, cores


@pytest.mark.parametrize(("limit", "expected"), [("150000 100000", 2), ("50000 100000", 1)])
def test_a_container_with_less_processor_time_is_given_fewer_threads(
    tmp_path, monkeypatch, limit, expected
):
    (tmp_path / "cpu.max").write_text(limit + "\n")
    monkeypatch.setattr(runtime, "_CPU_MAX", tmp_path / "cpu.max")
    monkeypatch.setattr(runtime.os, "sched_getaffinity", lambda _: range(64), raising=False)
    assert cores() == expected
    assert RuntimeParams().thread_count == RuntimeParams().worker_count == expected


@pytest.mark.parametrize("content", ["max 100000\n", None])
def test_without_a_limit_all_processors_are_used(tmp_path, monkeypatch, content):
    if content:
        (tmp_path / "cpu.max").write_text(content)
    monkeypatch.setattr(runtime, "_CPU_MAX", tmp_path / "cpu.max")
    monkeypatch.setattr(runtime.os, "sched_getaffinity", lambda _: range(64), raising=False)
    assert cores() == 64


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
