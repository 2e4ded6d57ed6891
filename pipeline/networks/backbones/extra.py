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
    top = package.partition(".")[0]
    try:
        importlib.import_module(top)
    except ModuleNotFoundError as error:
        if error.name != top:
            raise
        raise PipelineError(
            f"params.yaml: backbone.name: this backbone needs {top}, which is not installed. "
            f"Run: pip install 'surgical-phase-pipeline[{extra}]'"
        ) from None
    return importlib.import_module(package)
