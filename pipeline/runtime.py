"""How a stage runs, never what it computes: the section `runtime` of params.yaml.

Not a dependency of any DVC stage, so a change of it re-runs nothing.
"""

import os
from typing import Any, Literal

from pydantic import Field, field_validator

from pipeline.errors import PipelineError
from pipeline.settings import Number, Section, read_section


class Needs(Section):
    """What one item takes, be it a video or a training, where an executor does it."""

    cpus: int = Field(1, ge=1)
    gpus: Number = Field(0, ge=0, description="of features and trainings; 0: on processors")
    memory_gb: Number = Field(2, gt=0)

    def __str__(self) -> str:
        return f"cpus: {self.cpus}, gpus: {self.gpus:g}, memory_gb: {self.memory_gb:g}"


class SlurmParams(Section):
    """How jobs are submitted to Slurm."""

    cluster: Literal["slurm", "local"] = Field(
        "slurm", description="local: as processes of this machine, to try it"
    )
    partition: str | None = None
    account: str | None = None
    time_min: int = Field(240, ge=1, description="after which Slurm ends a job")
    jobs: int = Field(16, ge=1, description="that run at a time")


class RuntimeParams(Section):
    """Device, workers, where items are done, and what is shown meanwhile."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int | Literal["auto"] | list[int | str] = Field(
        1, description="GPUs that features and fine-tuning may use: auto, a number, or their ids"
    )
    workers: int = Field(
        0,
        ge=0,
        description="threads that decode; in frames, videos at once (0: a quarter of cores)",
    )
    batch: int = Field(64, ge=1, description="images per forward pass of the backbone on a GPU")
    threads: int = Field(0, ge=0, description="torch threads, 0: one per core")
    compile: bool = Field(False, description="the backbone by torch.compile, needs a C++ compiler")
    progress: Literal["auto", "bar", "lines", "none"] = "auto"
    executor: Literal["local", "ray", "slurm"] = "local"
    address: str = Field(
        "", pattern=r"^$|^[^/\s]+:\d+$", description="host:port of a Ray cluster; empty: start one"
    )
    task: Needs = Needs()
    slurm: SlurmParams = SlurmParams()
    store: str = Field(
        "", description="a folder that machines share, or s3://bucket/prefix; empty: .store"
    )

    @field_validator("devices", mode="before")
    @classmethod
    def _names_gpus(cls, devices: Any) -> Any:
        # Before pydantic, which would answer for each of the three forms.
        number = type(devices) is int and devices >= 1
        names = isinstance(devices, list) and all(type(name) in (int, str) for name in devices)
        if not (number or devices == "auto" or (names and 0 < len(devices) == len(set(devices)))):
            raise ValueError(
                "Allowed: auto, a number from 1, or a list of GPUs in which each stands once"
            )
        return devices

    @field_validator("store")
    @classmethod
    def _is_folder_or_bucket(cls, store: str) -> str:
        bucket = store.removeprefix("s3://").split("/")[0] if "://" in store else "a folder"
        if not bucket or "://" in store.removeprefix("s3://"):
            raise ValueError("Allowed: a folder, s3://bucket/prefix, or nothing for .store")
        return store

    @property
    def worker_count(self) -> int:
        """Workers to start, at least one."""
        return self.workers or cores()

    @property
    def thread_count(self) -> int:
        """Threads for one process, at least one."""
        return self.threads or cores()

    def of_one_item(self, needs: Needs) -> "RuntimeParams":
        """Settings of a worker that does one item with the processors and the GPU it was given."""
        return self.model_copy(
            update={
                "device": "cuda" if needs.gpus else "cpu",
                "devices": 1,
                "workers": self.workers or needs.cpus,
                "threads": self.threads or needs.cpus,
                "progress": "none",
            }
        )


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


def chosen_gpus(runtime: RuntimeParams) -> list[int]:
    """The GPUs of `runtime.devices`, by their numbers in torch; none where this runs on the CPU.

    They count the visible GPUs: CUDA_VISIBLE_DEVICES has chosen before, also on Ray and Slurm.

    Raises:
        PipelineError: One that is listed is not visible; or as `gpus`.
    """
    visible = gpus(runtime)
    if not visible or runtime.devices == "auto":
        return list(range(visible))
    if isinstance(runtime.devices, int):
        return list(range(min(runtime.devices, visible)))
    names = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    ids: dict[int | str, int] = {number: number for number in range(visible)}
    # A MIG slice has no number of its own, only this name. A digit there numbers the machine's.
    ids |= {name: n for n, name in enumerate(names[:visible]) if name and not name.isdecimal()}
    unknown = [device for device in runtime.devices if device not in ids]
    if unknown:
        raise PipelineError(
            f"params.yaml: runtime.devices: found {', '.join(map(str, unknown))}, which torch does "
            f"not see. Allowed here: auto, a number of GPUs, or of these: "
            f"{', '.join(map(str, ids))} (CUDA_VISIBLE_DEVICES decides what is seen)."
        )
    numbers = [ids[device] for device in runtime.devices]
    return sorted(set(numbers))


def cores() -> int:
    """Processors this process may use: on a cluster and in a container fewer than there are.

    The least of what the machine has, the process's affinity, a container's share of time (either
    version of control groups) and LOKY_MAX_CPU_COUNT.
    """
    # Here, because it takes 0.2 s, which index and --help do not need.
    from joblib import cpu_count

    return int(cpu_count())


def read_runtime() -> RuntimeParams:
    """The section `runtime`."""
    return read_section(RuntimeParams, "runtime")
