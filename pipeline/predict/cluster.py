"""Where `predict` has its videos done, as the command line says it."""

from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import PipelineError
from pipeline.runtime import RuntimeParams
from pipeline.settings import check_section

_COMMAND = Path("predict")


def runtime_of(executor: str, address: str, task: str, slurm: str) -> RuntimeParams:
    """What params.yaml would say in the section `runtime`.

    Args:
        executor: local, ray or slurm.
        address: Of a Ray cluster.
        task: What one video takes: "cpus=4,gpus=1,memory_gb=8".
        slurm: The keys of runtime.slurm, likewise.

    Raises:
        PipelineError: A key is unknown, or a value impossible.
    """
    found = {
        "executor": executor,
        "address": address,
        "task": _pairs("--task", task),
        "slurm": _pairs("--slurm", slurm),
    }
    return check_section(RuntimeParams, "runtime", found, _COMMAND)


def of_options(error: PipelineError) -> PipelineError:
    """What an executor says of the section `runtime`, in the words of the command line."""
    return PipelineError(str(error).replace("params.yaml: ", "").replace("runtime.", "--"))


def _pairs(option: str, text: str) -> dict[str, Any]:
    pairs = [part.partition("=") for part in text.split(",") if part]
    if any(not (key and sign and value) for key, sign, value in pairs):
        raise PipelineError(f"{option}: found {text}. Allowed: key=value,key=value")
    try:
        return {key.strip(): yaml.safe_load(value) for key, _, value in pairs}
    except yaml.YAMLError:
        raise PipelineError(f"{option}: found {text}. Allowed: key=value,key=value") from None
