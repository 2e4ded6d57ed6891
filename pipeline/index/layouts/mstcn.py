"""Published features without videos, as MS-TCN, ASFormer and others lay them out.

features/<video>.npy (or .mat) of D features by T frames, groundTruth/<video>.txt with the name of
a class per line and frame, mapping.txt with lines such as `0 background`, which order the classes,
and splits/train.split1.bundle and test.split1.bundle with the names of label files.

The rate of the frames, `data.fps`, is nowhere in these files: 30 for the published features of
50Salads, 15 for those of GTEA and Breakfast (github.com/yabufarha/ms-tcn, main.py). Features that
lie the other way round are turned, and where features and labels differ in length by up to a
second, the shorter one counts, as in the published code, which cuts both without a word.
"""

import re
from dataclasses import replace
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.given_features import AXES, ENDINGS, TIME_FIRST, TIME_LAST, shape_of
from pipeline.index.layouts.dataset import (
    LENGTH_TOLERANCE_S,
    Dataset,
    Probes,
    runs_of_frames,
)

_BUNDLE = re.compile(r"(train|test)\.split(\d+)\.bundle")


def read(root: Path, probes: Probes) -> Dataset:
    """The features below root/features with their labels and bundles.

    Args:
        root: `data.root`.
        probes: Tells the rate of the frames.

    Raises:
        PipelineError: A folder or mapping.txt is missing, or no features are there.
    """
    for needed in ("features", "groundTruth", "mapping.txt"):
        if not (root / needed).exists():
            raise PipelineError(
                f"{root / needed}: missing. The layout mstcn has features/, groundTruth/, "
                "mapping.txt and mostly splits/ below data.root."
            )
    dataset = Dataset(_find_features(root / "features"))
    dataset.phases = _read_mapping(root / "mapping.txt", dataset)
    labels = {
        video: _read_labels(root / "groundTruth" / f"{video}.txt", dataset)
        for video in dataset.paths
    }
    _align(dataset, labels, probes)
    _read_bundles(root / "splits", dataset)
    return dataset


def _find_features(folder: Path) -> dict[str, Path]:
    """The files of features by video, sorted."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix not in ENDINGS or path.name.startswith("."):
            continue
        if path.stem in found:
            raise PipelineError(
                f"{folder}: two files for the video {path.stem}: {found[path.stem].name} and "
                f"{path.name}. Remove one."
            )
        found[path.stem] = path
    if not found:
        raise PipelineError(
            f"{folder}: holds no features ({', '.join(ENDINGS)}). `python -m pipeline "
            "import-features` writes them from other files."
        )
    return found


def _read_mapping(path: Path, dataset: Dataset) -> tuple[str, ...]:
    """The classes in the order of their numbers."""
    classes: dict[int, str] = {}
    for line, text in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        fields = text.split()
        if not fields:
            continue
        if len(fields) != 2 or not fields[0].isdecimal():
            dataset.problems.append(
                f"{path}:{line}: found {text!r}, expected a number and a class, such as "
                "'0 background'."
            )
        elif int(fields[0]) in classes or fields[1] in classes.values():
            dataset.problems.append(f"{path}:{line}: {text!r}: number or class is there twice.")
        else:
            classes[int(fields[0])] = fields[1]
    if not classes:
        dataset.problems.append(f"{path}: holds no classes.")
    return tuple(classes[number] for number in sorted(classes))


def _read_labels(path: Path, dataset: Dataset) -> list[str]:
    """The class of each frame; what is wrong goes to the dataset's problems."""
    if not path.is_file():
        dataset.problems.append(
            f"{path}: missing; these features have no labels. Add it, or move the features away."
        )
        return []
    labels = path.read_text(encoding="utf-8-sig").split("\n")
    while labels and not labels[-1].strip():
        labels.pop()
    labels = [label.strip() for label in labels]
    known = set(dataset.phases)
    for line, label in enumerate(labels, start=1):
        if label not in known:
            dataset.problems.append(
                f"{path}:{line}: {label!r} is not in mapping.txt ({', '.join(dataset.phases)})."
            )
            return []
    if not labels:
        dataset.problems.append(f"{path}: holds no labels.")
    return labels


def _align(dataset: Dataset, labels: dict[str, list[str]], probes: Probes) -> None:
    """Find which axis of the features is time, and the runs of the frames that have both."""
    shapes: dict[str, tuple[int, int]] = {}
    for video, path in dataset.paths.items():
        try:
            shapes[video] = shape_of(path)
        except PipelineError as error:
            dataset.problems.append(str(error))
    known = {video: shape for video, shape in shapes.items() if labels[video]}
    if not known:
        return
    rates = {video: probes(dataset.paths[video]).fps for video in known}
    near = {
        axis: {
            video
            for video, shape in known.items()
            if abs(shape[axis] - len(labels[video])) <= max(1, LENGTH_TOLERANCE_S * rates[video])
        }
        for axis in (0, 1)
    }
    # One answer for all: in a single video as many frames as features may be chance.
    time_axis = 0 if len(near[0]) > len(near[1]) else 1
    differing: list[str] = []
    for video, shape in known.items():
        frames, found = shape[time_axis], len(labels[video])
        if video not in near[time_axis]:
            dataset.problems.append(
                f"{dataset.paths[video]}: {shape[0]} x {shape[1]}, but groundTruth/{video}.txt has "
                f"{found} labels: more than a second ({LENGTH_TOLERANCE_S * rates[video]:g} "
                "frames) apart. Do they belong together, and have they one rate?"
            )
            continue
        if frames != found:
            differing.append(f"{video} ({frames} frames, {found} labels)")
        fps, phases = rates[video], labels[video][:frames]
        runs = runs_of_frames(list(range(len(phases))), phases, lambda n, fps=fps: n / fps, 1)  # type: ignore[misc]
        dataset.runs[video] = runs
        dataset.given[video] = replace(
            probes(dataset.paths[video]), frames=frames, duration_s=frames / fps
        )
    dataset.columns[AXES] = {video: (TIME_FIRST, TIME_LAST)[time_axis] for video in dataset.paths}
    if time_axis == 0:
        dataset.notes.append(
            "the features lie as frames by features, the other way round than published ones; "
            "they are turned"
        )
    if differing:
        listed = ", ".join(differing[:5]) + (", ..." if len(differing) > 5 else "")
        dataset.notes.append(
            f"features and labels differ in length in {len(differing)} of {len(known)} videos; "
            f"the shorter one counts: {listed}"
        )


def _read_bundles(folder: Path, dataset: Dataset) -> None:
    """The videos of each train.splitN.bundle and test.splitN.bundle."""
    for path in sorted(folder.glob("*.bundle"), reverse=True):  # train comes before test
        name = _BUNDLE.fullmatch(path.name)
        if name is None:
            continue
        split, number = name[1], int(name[2])
        bundle = dataset.bundles.setdefault(number, {})
        for line, text in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
            video = text.strip().rpartition("/")[2].removesuffix(".txt")
            if not video:
                continue
            if video not in dataset.paths:
                dataset.problems.append(
                    f"{path}:{line}: {video!r} has no features in {folder.parent / 'features'}."
                )
            elif video in bundle:
                dataset.problems.append(
                    f"{path}:{line}: {video} is in {bundle[video]} already, of the same split."
                )
            else:
                bundle[video] = split
