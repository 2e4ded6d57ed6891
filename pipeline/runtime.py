"""How a stage runs, never what it computes: the section `runtime` of params.yaml.

Not a dependency of any DVC stage, so a change of it re-runs nothing.
"""

import math
import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.errors import PipelineError
from pipeline.settings import Section, read_section

# The control group's processor time: "<microseconds> <of microseconds>", as Docker's --cpus sets.
_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


class RuntimeParams(Section):
    """Device, workers and what is shown meanwhile."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = Field(1, ge=1, description="GPUs, or processes on a CPU, for fine-tuning")
    workers: int = Field(
        0,
        ge=0,
        description="threads that decode; in frames, videos at once (0: a quarter of cores)",
    )
    batch: int = Field(64, ge=1, description="images per forward pass of the backbone on a GPU")
    threads: int = Field(0, ge=0, description="torch threads, 0: one per core")
    compile: bool = Field(False, description="the backbone by torch.compile, needs a C++ compiler")
    progress: Literal["auto", "bar", "lines", "none"] = "auto"

    @property
    def worker_count(self) -> int:
        """Workers to start, at least one."""
        return self.workers or cores()

    @property
    def thread_count(self) -> int:
        """Threads for one process, at least one."""
        return self.threads or cores()


def gpus(runtime: RuntimeParams) -> int:
    """The GPUs this run may use; with 0 it runs on the CPU.

    Raises:
        PipelineError: One was asked for, and there is none.
    """
    import torch

    works = torch.cuda.is_available()  # device_count() also counts those of too old a driver
    if runtime.device == "cuda" and not works:
        raise PipelineError(
            "params.yaml: runtime.device: found cuda, but torch sees no GPU. "
            "Allowed here: auto, cpu. `python -m pipeline doctor` says more."
        )
    return torch.cuda.device_count() if works and runtime.device != "cpu" else 0


def cores() -> int:
    """Processors this process may use: on a cluster and in a container fewer than there are."""
    there = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        there = len(os.sched_getaffinity(0))
    return max(1, min(there, _quota(_CPU_MAX)))


def _quota(path: Path) -> int:
    """Whole processors' worth of time that a container gets; more than any machine has if all."""
    try:
        limit, period = path.read_text().split()
        return math.ceil(int(limit) / int(period))
    except (OSError, ValueError):  # no control groups (version 2), or no limit: "max"
        return sys.maxsize


def read_runtime() -> RuntimeParams:
    """The section `runtime`."""
    return read_section(RuntimeParams, "runtime")
