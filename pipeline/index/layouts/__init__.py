"""Datasets as they lie on users' disks, one layout per file.

`pipeline.index.layouts.dataset` holds what they share.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from pipeline.index.layouts.dataset import Dataset, Probes

LAYOUTS = {
    "cholec80": "cholec80",
    "cataract101": "cataract101",
    "csv": "csv_table",
    "mstcn": "mstcn",
    "image_folder": "image_folder",
    "frame_study": "frame_study",
}
"""`data.layout` to the module that reads it."""

GIVEN_FEATURES = ("mstcn",)
"""Layouts that bring features in place of videos."""

IMAGES = ("image_folder", "frame_study")
"""Layouts of single images."""


class Layout(Protocol):
    """What the module of a layout offers."""

    def read(self, root: Path, probes: "Probes") -> "Dataset":
        """The dataset below `root`.

        Args:
            root: `data.root`.
            probes: Tells what is in a video file.

        Returns:
            The dataset; what is wrong with single labels is listed in its `problems`.

        Raises:
            PipelineError: Videos or whole tables are missing.
        """


def layout_of(name: str) -> Layout:
    """The module of a layout in LAYOUTS."""
    return cast(Layout, importlib.import_module(f"{__name__}.{LAYOUTS[name]}"))
