"""How a stage runs, never what it computes: the section `runtime` of params.yaml.

Not a dependency of any DVC stage, so a change of it re-runs nothing.
"""

import os
from typing import Literal

from pydantic import Field

from pipeline.settings import Section, read_section


class RuntimeParams(Section):
    """Device, workers and what is shown meanwhile."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = Field(1, ge=1, description="GPUs, or processes on a CPU, for fine-tuning")
    workers: int = Field(
        0,
        ge=0,
        description="threads that decode; in frames, videos at once (0: a quarter of cores)",
    )
    batch: int = Field(16, ge=1, description="images per forward pass of the backbone on a GPU")
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


def cores() -> int:
    """Processors this process may use, which on a cluster are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read_runtime() -> RuntimeParams:
    """The section `runtime`."""
    return read_section(RuntimeParams, "runtime")
