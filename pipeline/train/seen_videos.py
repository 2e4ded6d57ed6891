"""Which sizes, rates and codecs a temporal model was trained on, for the header of its file."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.tables import INDEX, read_videos


def videos_seen(videos: Collection[str], index: Path = INDEX) -> dict[str, Any]:
    """What the index says of the files of these videos.

    Args:
        videos: Identifiers.
        index: Folder of the tables.

    Returns:
        `long_side` and `short_side` in pixels and `fps`, each the lowest and the highest value;
        `codecs`, those that occur. Without what is not known, such as of features without videos.
    """
    seen: dict[str, Any] = {}
    if (index / "videos.csv").is_file():
        table = read_videos(index)
        table = table[table["video"].isin(videos) & (table["width"] > 0)]
        if len(table):
            sides = table[["width", "height"]]
            seen["long_side"] = _range(sides.max(axis=1))
            seen["short_side"] = _range(sides.min(axis=1))
            seen["fps"] = _range(table["fps"])
    if (index / "codecs.csv").is_file():
        codecs = pd.read_csv(index / "codecs.csv", dtype=str, keep_default_na=False)
        own = codecs.loc[codecs["video"].isin(videos), "codec"]
        if known := sorted({codec for codec in own if codec}):
            seen["codecs"] = known
    return seen


def _range(values: "pd.Series[float]") -> list[float]:
    return [float(values.min()), float(values.max())]
