"""What a backbone that is trained or adapted reads of the frames; see index/for_backbone.py."""

from pathlib import Path

import pandas as pd

from pipeline.frame_store import FrameFile
from pipeline.tables import write_table

READING = ("finetune", "adabn", "finetune_adabn")


def write_frames_for(frames: Path) -> None:
    """Write frames_for_<mode>.csv beside the folder: the fingerprint of each container."""
    rows = []
    for path in sorted(frames.glob("*.h5")):
        with FrameFile(path) as file:
            rows.append((path.stem, str(file.attributes["fingerprint"])))
    table = pd.DataFrame(rows, columns=["video", "fingerprint"])
    for mode in READING:
        write_table(table, frames.parent / f"frames_for_{mode}.csv")
