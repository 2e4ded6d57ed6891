"""What the layouts of single images share: which files are images."""

import os
from collections.abc import Iterator
from pathlib import Path

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def images_below(folder: Path) -> Iterator[Path]:
    """The images below a folder, sorted within each; hidden files and folders left out."""
    # os.walk asks the disk once per folder, which matters with 50,000 files.
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(IMAGE_ENDINGS) and not name.startswith("."):
                yield Path(where, name)
