"""What a backbone of each mode reads of the index: a frozen one reads nothing.

DVC depends on paths, and a path may hold a parameter. So the backbone stage depends on
`labels_for_<mode>.csv` and `frames_for_<mode>.csv` of its mode: those of a frozen backbone are
always empty, and no corrected label or new video runs it again.
"""

from pathlib import Path

import pandas as pd

from pipeline.tables import read_labels, read_phases, read_splits, read_tools, write_table

LEARNING = ("finetune", "finetune_adabn")


def write_labels_for(index: Path, data: Path) -> None:
    """Write labels_for_<mode>.csv of all modes, and frames_for_frozen.csv.

    The labels of test videos are left out: no training sees them, so correcting one trains
    nothing again. The other frames_for tables are written by the frames stage.
    """
    splits = read_splits(index)
    learnt = set(splits.loc[splits["split"] != "test", "video"])
    phases = pd.DataFrame({"phase": list(read_phases(index))})
    parts = [phases.assign(table="phases"), splits.assign(table="splits")]
    for name, table in (("labels", read_labels(index)), ("tools", read_tools(index))):
        parts.append(table[table["video"].isin(learnt)].assign(table=name))
    write_table(pd.DataFrame({"video": []}), index / "labels_for_frozen.csv")
    write_table(splits, index / "labels_for_adabn.csv")
    for mode in LEARNING:
        write_table(pd.concat(parts), index / f"labels_for_{mode}.csv")
    write_table(pd.DataFrame({"video": [], "fingerprint": []}), data / "frames_for_frozen.csv")
