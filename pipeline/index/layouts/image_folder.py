"""Images in folders of their classes, with or without folders of splits above them.

train|val|test/<class>/*.png, where the folders may also be called Training, valid, validation and
Testing, or <class>/*.png alone. Classes are in the order of their names, and an image is called
by its path.
"""

from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.index.layouts.dataset import Dataset, Probes, Run
from pipeline.index.layouts.image_files import IMAGE_ENDINGS, images_below

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def read(root: Path, probes: Probes) -> Dataset:
    """The images below root with the classes of their folders.

    Raises:
        PipelineError: There is no folder, or no image in any.
    """
    folders = _folders(root)
    splits = {folder: _SPLITS[folder.name.lower()] for folder in folders if _is_split(folder)}
    if splits and len(splits) < len(folders):
        others = ", ".join(folder.name for folder in folders if folder not in splits)
        raise PipelineError(
            f"{root}: holds folders of splits ({', '.join(f.name for f in splits)}) and others "
            f"({others}). Move those away, or the classes into the splits."
        )
    dataset = Dataset({}, are_images=True)
    classes: set[str] = set()
    if splits:
        dataset.split = {}
    for parent in splits or (root,):
        for folder in _folders(parent):
            classes.add(folder.name)
            found = list(images_below(folder))
            if not found:
                dataset.problems.append(
                    f"{folder}: holds no image ({', '.join(IMAGE_ENDINGS)}). Remove the folder, "
                    "or put its images there."
                )
            for path in found:
                image = path.relative_to(root).as_posix()
                dataset.paths[image] = path
                dataset.runs[image] = [Run(0.0, 1.0, folder.name)]
                if dataset.split is not None:
                    dataset.split[image] = splits[parent]
    if not dataset.paths and not dataset.problems:
        raise PipelineError(f"{root}: holds no folder of a class with images.")
    dataset.phases = tuple(sorted(classes))
    return dataset


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise PipelineError(
            f"{folder}: no such folder. Set data.root in params.yaml to where the images lie."
        )
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _is_split(folder: Path) -> bool:
    return folder.name.lower() in _SPLITS
