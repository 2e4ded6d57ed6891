"""Libraries that only some families need, and that not everybody has installed."""

import importlib
from typing import Any

from pipeline.errors import PipelineError


def library(package: str, extra: str) -> Any:
    """A library of an optional dependency, imported when it is needed and not before.

    Args:
        package: As in `import`.
        extra: The optional dependency of this project that installs it.

    Raises:
        PipelineError: It is not installed; says how to install it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.partition(".")[0]:
            raise
        raise PipelineError(
            f"params.yaml: backbone.name: this backbone needs {error.name}, which is not "
            f"installed. Run: pip install 'surgical-phase-pipeline[{extra}]'"
        ) from None
