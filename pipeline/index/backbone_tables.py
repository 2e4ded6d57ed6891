"""What a backbone of each mode reads of the index: a frozen one reads nothing.

DVC depends on paths, and a path may hold a parameter. So the backbone stage depends on
backbone_<mode>.csv of its mode. Together with data/frames/recipe.json it stands for the frames,
labels, tools and splits that this mode uses: a change of anything else trains nothing again.
"""

from pathlib import Path

import pandas as pd

from pipeline.tables import (
    VIDEO_COLUMNS,
    read_folds,
    read_labels,
    read_phases,
    read_splits,
    read_tools,
    read_videos,
    write_table,
)

MODES = ("frozen", "adabn", "finetune", "finetune_adabn")


def write_backbone_tables(index: Path) -> None:
    """Write backbone_<mode>.csv of all modes, from the other tables of the folder.

    Batch norm is adapted to videos without their labels. Fine-tuning sees the training and
    validation videos only: no test video is in its table. With several folds each has a backbone
    of its own: the rows of all stand below one another, with the column `fold` in front.
    """
    folds = {fold: _tables(index, fold) for fold in read_folds(index)}
    for mode in MODES:
        table = pd.concat([_marked(tables[mode], fold) for fold, tables in folds.items()])
        write_table(table, index / f"backbone_{mode}.csv")


def _marked(table: pd.DataFrame, fold: int | None) -> pd.DataFrame:
    """The table with the fold in front of each row, where there are rows."""
    if fold is None or table.empty:
        return table
    table.insert(0, "fold", fold)
    return table


def _tables(index: Path, fold: int | None) -> dict[str, pd.DataFrame]:
    """The table of each mode for the backbone of a fold, or for the only one."""
    splits, known = read_splits(index, fold), read_videos(index)
    videos = splits.merge(known[["video", "sha256"]], on="video")
    adapting = videos.assign(table="adabn")
    # Whatever the layout tells of a video may be what is learnt (backbone.finetune.target).
    told = known.drop(columns=[c for c in VIDEO_COLUMNS if c not in ("video", "sha256")])
    seen = splits[splits["split"] != "test"].merge(told, on="video")
    learning = _learning(index, seen)
    return {
        "frozen": pd.DataFrame({"video": []}),
        "adabn": adapting,
        "finetune": learning,
        "finetune_adabn": pd.concat([learning, adapting]),
    }


def _learning(index: Path, videos: pd.DataFrame) -> pd.DataFrame:
    """Content, split, labels and tools of these videos, and the order of the phases."""
    parts = [videos.assign(table="videos")]
    for name, table in (("labels", read_labels(index)), ("tools", read_tools(index))):
        parts.append(table[table["video"].isin(videos["video"])].assign(table=name))
    phases = pd.DataFrame({"phase": list(read_phases(index))})
    return pd.concat([*parts, phases.assign(table="phases")])
