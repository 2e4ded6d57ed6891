"""The index stage: data.root to the tables of data/index."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from pipeline.errors import PipelineError
from pipeline.image_tables import COLUMNS as IMAGE_COLUMNS
from pipeline.index.backbone_tables import write_backbone_tables
from pipeline.index.images import note_of_copies, pack
from pipeline.index.known_files import KnownFiles
from pipeline.index.layouts import layout_of
from pipeline.index.layouts.dataset import Dataset, Probes
from pipeline.index.params import DataParams, SplitParams
from pipeline.index.probe import Probe
from pipeline.index.splits import splits_of
from pipeline.runtime import read_runtime
from pipeline.settings import read_section, read_value
from pipeline.tables import INDEX, SPLITS, write_table
from pipeline.timebase import exact_fps
from pipeline.tracks import CLASS_COLUMNS, RUN_COLUMNS

Splits = dict[int | None, dict[str, str]]
"""The split of each video by fold; under None where there is a single split."""


def run(output: Path = INDEX) -> str:
    """Read the dataset, check it as a whole, write the tables.

    Returns:
        Notes, one per line, and a line with the number of videos in each split.

    Raises:
        PipelineError: Lists everything that is wrong with labels and splits, by file and line.
    """
    with KnownFiles() as files:
        dataset, probes, splits, notes = _read(files)
        root, mode = Path(read_value("data.root", str)), read_runtime().progress
        images = pd.DataFrame(columns=list(IMAGE_COLUMNS))
        if dataset.are_images:
            packed = pack(dataset, splits[None], root, files, mode)
            dataset, hashes, images = packed.dataset, packed.hashes, packed.images
            splits, probes = {None: packed.splits}, packed.dataset.given
            notes += note_of_copies(images)
        else:
            found_hashes = files.sha256([dataset.paths[video] for video in probes], mode)
            hashes = {video: found_hashes[dataset.paths[video]] for video in probes}
        # Of arrays and images there are none.
        coded = [
            (video, files.codec(dataset.paths[video]))
            for video in probes
            if video not in dataset.given
        ]
    rows = []
    for video in probes:
        path = dataset.paths[video]
        row = {"video": video, "path": path.relative_to(root).as_posix(), "sha256": hashes[video]}
        found = asdict(probes[video])
        del found["frame_times_s"]
        if video in dataset.given:
            found |= {"width": math.nan, "height": math.nan}  # written as empty
        extra = {name: values.get(video, "") for name, values in dataset.columns.items()}
        rows.append(row | found | extra)
    write_table(pd.DataFrame(rows), output / "videos.csv")
    write_table(pd.DataFrame(coded, columns=["video", "codec"]), output / "codecs.csv")
    labels = [
        (video, run.start_s, run.end_s, run.phase)
        for video in probes
        for run in dataset.runs.get(video, [])
    ]
    write_table(
        pd.DataFrame(labels, columns=["video", "start_s", "end_s", "phase"]),
        output / "labels.csv",
    )
    write_table(_splits_table(splits), output / "splits.csv")
    write_table(pd.DataFrame({"phase": list(dataset.phases)}), output / "phases.csv")
    _write_tracks(dataset, list(probes), output)
    write_table(images, output / "images.csv")
    tools = [
        (video, time_s, *present)
        for video in probes
        for time_s, present in dataset.tools.get(video, [])
    ]
    write_table(
        pd.DataFrame(tools, columns=["video", "time_s", *dataset.tool_names]),
        output / "tools.csv",
    )
    write_backbone_tables(output)
    if len(images):
        counts = _counts(images["video"].map(splits[None]))
        return "\n".join([*_noted(notes), f"{output}: {len(images)} images: {counts}"])
    summary = "; ".join(_counts(own.values()) for own in splits.values())
    folds = "" if None in splits else f" in {len(splits)} folds"
    return "\n".join([*_noted(notes), f"{output}: {len(probes)} videos{folds}: {summary}"])


def _noted(notes: list[str]) -> list[str]:
    return [f"note: {note}" for note in notes]


def _write_tracks(dataset: Dataset, videos: list[str], output: Path) -> None:
    """Write tracks.csv and track_classes.csv; both are empty where there are phases alone."""
    runs = [
        (name, video, run.start_s, run.end_s, run.phase)
        for name, track in dataset.tracks.items()
        for video in videos
        for run in track.runs.get(video, [])
    ]
    classes = [(name, label) for name, track in dataset.tracks.items() for label in track.classes]
    write_table(pd.DataFrame(runs, columns=list(RUN_COLUMNS)), output / "tracks.csv")
    write_table(pd.DataFrame(classes, columns=list(CLASS_COLUMNS)), output / "track_classes.csv")


def _splits_table(splits: Splits) -> pd.DataFrame:
    """`video, split`; with folds `fold, video, split`, a row for each video in each fold."""
    rows = [(fold, *row) for fold, own in splits.items() for row in own.items()]
    table = pd.DataFrame(rows, columns=["fold", "video", "split"])
    return table.drop(columns="fold") if None in splits else table


def _counts(splits: Iterable[str]) -> str:
    counts = Counter(splits)
    return ", ".join(f"{counts[name]} {name}" for name in SPLITS)


def survey() -> tuple[float, int, list[str]]:
    """What the doctor shows of the dataset, without hashing it.

    Returns:
        Hours of video, number of videos or images, notes.

    Raises:
        PipelineError: As run.
    """
    with KnownFiles() as files:
        _, probes, splits, notes = _read(files)
    count = len(next(iter(splits.values())))  # images are not probed
    return sum(p.duration_s for p in probes.values()) / 3600, count, notes


def _read(files: KnownFiles) -> tuple[Dataset, dict[str, Probe], Splits, list[str]]:
    """The dataset, what is in the videos of its splits, the splits, and notes for the user."""
    data = read_section(DataParams, "data")
    dataset = layout_of(data.layout).read(Path(data.root), _probes(files, data))
    if dataset.problems:
        count = len(dataset.problems)
        raise PipelineError(
            f"{data.root}: {count} {'problem' if count == 1 else 'problems'} with the labels:\n"
            + "\n".join(f"  {problem}" for problem in dataset.problems)
        )
    splits = splits_of(read_section(SplitParams, "split"), dataset, read_value("seed", int))
    # With folds each of them holds all videos.
    videos = [] if dataset.are_images else next(iter(splits.values()))
    probes = {v: dataset.given.get(v) or files.probe(dataset.paths[v]) for v in videos}
    return dataset, probes, splits, dataset.notes + _notes(dataset, probes, splits)


def _probes(files: KnownFiles, data: DataParams) -> Probes:
    """What tells a layout about a file: its packets, or the rate that params.yaml gives."""
    if data.fps is None:
        return files.probe
    given = Probe(fps=round(float(exact_fps(data.fps)), 6))
    return lambda _: given


def _notes(dataset: Dataset, probes: dict[str, Probe], splits: Splits) -> list[str]:
    notes = [
        f"{video}: {found.problem}: {dataset.paths[video]}. The frames stage will list it."
        for video, found in probes.items()
        if found.problem
    ]
    left_out = sorted(set(dataset.paths) - set(next(iter(splits.values()))))
    if left_out:
        more = f", ... ({len(left_out)} in all)" if len(left_out) > 8 else ""
        notes.append(f"in no split and left out: {', '.join(left_out[:8])}{more}")
    for fold, own in splits.items():
        where = "" if fold is None else f"fold {fold}: "
        notes += [f"{where}{note}" for note in _unseen(dataset, own)]
    return notes


def _unseen(dataset: Dataset, splits: dict[str, str]) -> list[str]:
    """A note for each split with phases that the training videos lack."""
    notes = []
    seen: dict[str, set[str]] = {name: set() for name in SPLITS}
    for video, split in splits.items():
        seen[split] |= {run.phase for run in dataset.runs.get(video, [])}
    for split in ("val", "test"):
        unseen = [phase for phase in dataset.phases if phase in seen[split] - seen["train"]]
        if unseen:
            notes.append(
                f"{split} has phases that train never shows: {', '.join(unseen)}. No model can "
                "learn them; they count as errors. Move a video with them to train."
            )
    return notes
