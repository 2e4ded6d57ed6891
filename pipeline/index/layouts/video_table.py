"""What is told of whole videos, such as surgeon and skill: videos.csv in the dataset's folder.

`video,...`: one row per video, any further columns, of which `split` is train, val or test. A video
without a row, or with an empty field, has no value.
"""

import csv
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.index.layouts.dataset import Dataset
from pipeline.tables import SPLITS, VIDEO_COLUMNS

TABLE = "videos.csv"


def read_video_table(table: Path, dataset: Dataset) -> None:
    """Add its columns to the dataset, and its split where it has one.

    Raises:
        PipelineError: It has no column `video`, or a column with the name of one that the index
            itself fills.
    """
    with table.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        header = list(reader.fieldnames or [])
        rows = [(reader.line_num, row) for row in reader]
    taken = [name for name in header if name in VIDEO_COLUMNS and name != "video"]
    if "video" not in header or taken or len(set(header)) < len(header):
        raise PipelineError(
            f"{table}:1: header {','.join(header)!r}, expected `video` and columns with other "
            f"names than {', '.join(VIDEO_COLUMNS[1:])}, each once, such as 'video,surgeon,skill'."
        )
    told: dict[str, dict[str, str]] = {}
    for line, row in rows:
        problem = _problem(row, dataset, told)
        if problem:
            dataset.problems.append(f"{table}:{line}: {problem}")
        else:
            told[row["video"]] = row
    dataset.columns = {
        name: {video: row[name].strip() for video, row in told.items()}
        for name in header
        if name not in ("video", "split")
    }
    if "split" in header:
        dataset.split = {video: row["split"] for video, row in told.items() if row["split"]}


def _problem(row: dict[str, str], dataset: Dataset, told: dict[str, dict[str, str]]) -> str:
    """What is wrong with a row, or nothing."""
    if None in row.values() or None in row:
        return f"has another number of fields than the header: {list(row.values())}."
    if row["video"] not in dataset.paths:
        return (
            f"the video {row['video']!r} is not there. Its name is that of a video file below "
            "data.root, without the ending."
        )
    if row["video"] in told:
        return f"the video {row['video']} is in it twice. Keep one row."
    if row.get("split", "") not in ("", *SPLITS):
        return f"split {row['split']!r}. Allowed: {', '.join(SPLITS)}."
    return ""
