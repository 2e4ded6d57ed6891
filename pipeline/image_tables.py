"""data/index/images.csv: which image is which sample of which container, of data sets of images.

Images are packed into containers, which then go through the stages as videos do, one image per
second. For data sets of videos the table is empty.
"""

from pathlib import Path

import pandas as pd

from pipeline.errors import PipelineError
from pipeline.paths import INDEX

COLUMNS = ("video", "sample", "image", "path", "sha256")
"""Container, position in it, identifier, path relative to data.root, content."""

_TEXT = ("video", "image", "path", "sha256")


def read_images(folder: Path = INDEX) -> pd.DataFrame:
    """The images of all containers, in their order; empty for data sets of videos.

    Raises:
        PipelineError: The table is missing or has other columns.
    """
    path = folder / "images.csv"
    if not path.is_file():
        raise PipelineError(f"{path}: not found. `dvc repro` makes it; it belongs to the index.")
    table = pd.read_csv(path, dtype=dict.fromkeys(_TEXT, str), keep_default_na=False)
    if tuple(table.columns) != COLUMNS:
        raise PipelineError(
            f"{path}: columns {', '.join(table.columns)}, expected {', '.join(COLUMNS)}."
        )
    return table
