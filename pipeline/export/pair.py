"""Whether two exported files belong together, and to the models that they were made from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.result_store import file_hash

BACKBONE = "backbone.onnx"
TEMPORAL = "temporal.onnx"

# Keys of which both files must say the same.
_SHARED = ("dim", "classes", "weights_hash")


def check_pair(folder: Path, backbone: Mapping[str, Any], temporal: Mapping[str, Any]) -> None:
    """Refuse files of which one is not what its name says, or that are of different models.

    Args:
        folder: Of both.
        backbone: What backbone.onnx says of itself.
        temporal: What temporal.onnx says of itself.

    Raises:
        PipelineError: One sentence with the file, what it is, and what it should be.
    """
    for name, found in ((BACKBONE, backbone), (TEMPORAL, temporal)):
        role = Path(name).stem
        if found.get("role") != role:
            raise PipelineError(
                f"{folder / name}: holds a {found.get('role')} model, not a {role} model. Give "
                "both files the names that `python -m pipeline export --to onnx` gave them."
            )
    for key in _SHARED:
        made, read = backbone.get(key), temporal.get(key)
        if made != read:
            raise PipelineError(
                f"{folder / TEMPORAL}: was trained with {key} {_short(read)}, but {BACKBONE} "
                f"beside it was exported with {_short(made)}. Take both files from one export."
            )


def check_current(
    folder: Path, models: Path, backbone: Mapping[str, Any], temporal: Mapping[str, Any]
) -> None:
    """Refuse files that were made from other models than those that lie there now.

    Args:
        folder: Of the exported files.
        models: Where the models may lie; those that are missing are not compared.
        backbone: What backbone.onnx says of itself.
        temporal: What temporal.onnx says of itself.

    Raises:
        PipelineError: A model was trained anew since.
    """
    for name, found in ((BACKBONE, backbone), (TEMPORAL, temporal)):
        source = (models / name).with_suffix(".safetensors")
        if "made_from" not in found or not source.is_file():
            continue
        if file_hash(source) != found["made_from"]:
            raise PipelineError(
                f"{folder / name}: was exported from another {source.name} than {source}. Run "
                f"`python -m pipeline export --to onnx` again, or keep the old files with --model "
                f"{folder}."
            )


def _short(value: Any) -> str:
    """A value for a message; of a hash, its beginning."""
    if isinstance(value, list):
        return ", ".join(value)
    return str(value)[:12]
