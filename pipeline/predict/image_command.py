"""The command `predict` with models of single images: all images into one table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.errors import PipelineError
from pipeline.predict.images import ClassifiedImages
from pipeline.predict.inputs import find_images
from pipeline.predict.predictor import Predictor
from pipeline.progress import Progress
from pipeline.runtime import RuntimeParams
from pipeline.tables import write_table


def only_here(runtime: RuntimeParams) -> None:
    """Refuse executors, which take videos.

    Raises:
        PipelineError: One was asked for.
    """
    if runtime.executor != "local":
        raise PipelineError(
            f"--executor: found {runtime.executor}, but models of single images (task.kind: "
            "images) predict here only. Allowed with them: local."
        )


def predict_images(
    asked: Sequence[str], predictor: Predictor, out: Path, abstain: float | None
) -> str:
    """Predict each image that is named, and write images.csv.

    Args:
        asked: Files, folders and patterns.
        predictor: Of single images; is closed.
        out: Folder of the table.
        abstain: As in Predictor.images.

    Returns:
        One line for the terminal.

    Raises:
        PipelineError: A name means nothing; or images cannot be read, after all others were done.
    """
    with predictor:
        images = find_images(asked)
        with Progress("predict", len(images)) as progress:
            for line in predictor.notes:
                progress.say(f"predict: {line}")
            found = predictor.images(
                list(images.values()),
                abstain,
                lambda done, of: progress.part("images", done / of, 1 - done / of),
            )
    names = {path: name for name, path in images.items()}
    table = out / "images.csv"
    _write(found, [names[path] for path in found.paths], table)
    if found.damaged:
        lines = "\n".join(f"  {line}" for line in found.damaged)
        raise PipelineError(
            f"{len(found.damaged)} of {len(images)} images failed; the others are in {table}:\n"
            f"{lines}"
        )
    return f"{table}: {len(images)} images"


def _write(found: ClassifiedImages, names: Sequence[str], path: Path) -> None:
    """`img_id, predicted_label, p_<class>...` by identifier, as in reports/predictions."""
    columns: dict[str, Any] = {"img_id": names, "predicted_label": found.labels}
    for number, name in enumerate(found.classes):
        columns[f"p_{name}"] = found.probabilities[:, number]
    write_table(pd.DataFrame(columns).sort_values("img_id"), path)
