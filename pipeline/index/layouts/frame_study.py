"""A study of single frames: train.csv, val.csv and maybe test.csv with `id,label`, and the images.

The image of an id lies in images/ or beside the tables, with or without its ending in the id.
Labels that are whole numbers are ordered as such, others by name.
"""

import csv
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.index.layouts.dataset import Dataset, Probes, Run
from pipeline.index.layouts.image_files import images_below
from pipeline.tables import SPLITS

_HEADER = ["id", "label"]


def read(root: Path, probes: Probes) -> Dataset:
    """The images of the tables below root.

    Raises:
        PipelineError: There is no table, or one has another header.
    """
    tables = {split: root / f"{split}.csv" for split in SPLITS}
    if not tables["train"].is_file():
        raise PipelineError(
            f"{tables['train']}: missing. The layout frame_study has train.csv, val.csv and "
            "test.csv with the header id,label below data.root."
        )
    folder = root / "images" if (root / "images").is_dir() else root
    files: dict[str, Path] = {}
    for path in images_below(folder):
        files[path.name] = files[path.stem] = path
    dataset = Dataset({}, are_images=True, split={})
    for split, table in tables.items():
        if table.is_file():
            _read_table(table, split, files, dataset)
    labels = {runs[0].phase for runs in dataset.runs.values()}
    numbers = all(label.isdecimal() for label in labels)
    dataset.phases = tuple(sorted(labels, key=int if numbers else None))
    return dataset


def _read_table(table: Path, split: str, files: dict[str, Path], dataset: Dataset) -> None:
    assert dataset.split is not None
    with table.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        if header != _HEADER:
            raise PipelineError(
                f"{table}:1: header {','.join(header)!r}, expected {','.join(_HEADER)!r}."
            )
        for row in reader:
            where = f"{table}:{reader.line_num}"
            if len(row) != 2 or not row[1].strip():
                dataset.problems.append(f"{where}: found {','.join(row)!r}, expected id and label.")
                continue
            image, label = row[0], row[1].strip()
            if image in dataset.split:
                dataset.problems.append(
                    f"{where}: {image} is in {dataset.split[image]}.csv already; each image "
                    "has one label and one split."
                )
            elif image not in files:
                dataset.problems.append(f"{where}: no image {image} below {table.parent}.")
            else:
                dataset.paths[image] = files[image]
                dataset.runs[image] = [Run(0.0, 1.0, label)]
                dataset.split[image] = split
