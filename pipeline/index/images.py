"""Single images, packed into containers that the other stages take for videos."""

import hashlib
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.image_tables import COLUMNS
from pipeline.index.known_files import KnownFiles
from pipeline.index.layouts.dataset import Dataset, runs_of_frames
from pipeline.index.probe import Probe
from pipeline.progress import Mode, Progress
from pipeline.result_store import fingerprint
from pipeline.tables import SPLITS

# Of a container, on average. One is computed again when an image in it changes.
_IMAGES = 900


@dataclass(frozen=True)
class Packed:
    """A data set of images as one of containers.

    Attributes:
        dataset: With a container for each video; an image is shown for a second.
        splits: Container to split.
        hashes: Container to the hash of its images' contents, in their order.
        images: The rows of images.csv.
    """

    dataset: Dataset
    splits: dict[str, str]
    hashes: dict[str, str]
    images: pd.DataFrame


def pack(
    dataset: Dataset, splits: dict[str, str], root: Path, files: KnownFiles, mode: Mode
) -> Packed:
    """Put the images of each split into containers, by a hash of their names.

    So a container holds all classes, and a further image changes one container alone, until there
    are so many that it takes another container.

    Args:
        dataset: Images in place of videos.
        splits: Image to split.
        root: data.root.
        files: Known hashes of files.
        mode: How progress is shown.
    """
    packed = Dataset(paths={}, phases=dataset.phases)
    contents: dict[str, list[str]] = {}
    of_container = _containers(splits)
    rows: list[tuple[str, int, str, str, str]] = []
    with Progress("hash", len(of_container), mode) as progress:
        for name, images in of_container.items():
            known = files.sha256([dataset.paths[image] for image in images], "none")
            contents[name] = [known[dataset.paths[image]] for image in images]
            for sample, image in enumerate(images):
                path = dataset.paths[image].relative_to(root).as_posix()
                rows.append((name, sample, image, path, contents[name][sample]))
            labels = [dataset.runs[image][0].phase for image in images]
            packed.paths[name] = root
            packed.runs[name] = runs_of_frames(list(range(len(images))), labels, float, 1)
            packed.given[name] = Probe(fps=1.0, frames=len(images), duration_s=float(len(images)))
            progress.step(name, f"{len(images)} images")
    return Packed(
        dataset=packed,
        splits={name: name.rpartition("_")[0] for name in of_container},
        hashes={name: fingerprint(images=content) for name, content in contents.items()},
        images=pd.DataFrame(rows, columns=list(COLUMNS)),
    )


def _containers(splits: dict[str, str]) -> dict[str, list[str]]:
    """Names of containers to their images, in order; none is empty."""
    found: dict[str, list[str]] = {}
    sizes = Counter(splits.values())
    hashed = {image: int(hashlib.sha256(image.encode()).hexdigest(), 16) for image in splits}
    for image in sorted(splits, key=hashed.__getitem__):
        split = splits[image]
        number = hashed[image] % math.ceil(sizes[split] / _IMAGES)
        found.setdefault(f"{split}_{number:03d}", []).append(image)
    order = {split: position for position, split in enumerate(SPLITS)}
    return dict(sorted(found.items(), key=lambda item: (order[splits[item[1][0]]], item[0])))


def note_of_copies(images: pd.DataFrame) -> list[str]:
    """A note where the same file is in two splits, so that metrics would be too good."""
    by_content: dict[str, dict[str, str]] = {}
    for row in images.itertuples():
        split = str(row.video).rpartition("_")[0]
        by_content.setdefault(str(row.sha256), {}).setdefault(split, str(row.image))
    shared = [list(found.values()) for found in by_content.values() if len(found) > 1]
    if not shared:
        return []
    return [
        f"{len(shared)} {'image is' if len(shared) == 1 else 'images are'} byte for byte in two "
        f"splits, so that metrics will be too good; for example {' and '.join(shared[0])}"
    ]
