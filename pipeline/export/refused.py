"""Models that are not exported: what an exported graph cannot do."""

from pathlib import Path

from pipeline.backbone_parts import separated
from pipeline.errors import PipelineError
from pipeline.model_pair import ModelPair
from pipeline.predict.loaded import Models
from pipeline.predict.recipe import Recipe


def check_exportable(models: Models, folder: Path) -> None:
    """Whether models are of a sort that is exported.

    Args:
        models: Read from the folder.
        folder: For messages.

    Raises:
        PipelineError: They are not; says why, and what to train instead.
    """
    path = folder / "temporal.safetensors"
    if models.of_images:
        raise PipelineError(
            f"{path}: trained on single images (task.kind: images); export takes models of videos. "
            "`predict` and `bundle` take these."
        )
    if models.recipe.features.precision == "int8":
        raise PipelineError(
            f"{path}: trained on features of features.precision: int8, which torch makes and ONNX "
            "does not make alike. Train on features.precision: fp32, and export with --precision "
            "int8."
        )
    if len(models.pairs) > 1:
        raise PipelineError(
            f"{path}: each of its {len(models.pairs)} folds has a backbone of its own; export "
            "takes one. Train on a single split (split.fold or split.scheme)."
        )
    (pair,) = models.pairs.values()
    _check_backbone(pair, models.recipe, folder)


def _check_backbone(pair: ModelPair, recipe: Recipe, folder: Path) -> None:
    parts = len(separated(pair.backbone, pair.backbone_header))
    path = folder / "backbone.safetensors"
    if parts > 1:
        raise PipelineError(
            f"{path}: holds {parts} networks side by side; export takes one network of images."
        )
    if recipe.clips is not None:
        raise PipelineError(
            f"{path}: {pair.backbone_header['name']} reads clips; export takes networks of images."
        )
    if recipe.features.tta != "none":
        raise PipelineError(
            f"{path}: features.tta: found {recipe.features.tta}, means over several views of a "
            "frame; an exported graph sees one. Train on features.tta: none."
        )
