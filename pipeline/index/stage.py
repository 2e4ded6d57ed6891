"""The index stage: data.root to the tables of data/index."""

import math
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
from pipeline.index.splits import split_videos
from pipeline.runtime import read_runtime
from pipeline.settings import read_section, read_value
from pipeline.tables import INDEX, write_table
from pipeline.timebase import exact_fps


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
            packed = pack(dataset, splits, root, files, mode)
            dataset, splits, hashes, images = (
                packed.dataset,
                packed.splits,
                packed.hashes,
                packed.images,
            )
            probes = dataset.given
            notes += note_of_copies(images)
        else:
            found_hashes = files.sha256([dataset.paths[video] for video in splits], mode)
            hashes = {video: found_hashes[dataset.paths[video]] for video in splits}
    rows = []
    for video in splits:
        path = dataset.paths[video]
        row = {"video": video, "path": path.relative_to(root).as_posix(), "sha256": hashes[video]}
        found = asdict(probes[video])
        del found["frame_times_s"]
        if video in dataset.given:
            found |= {"width": math.nan, "height": math.nan}  # written as empty
        extra = {name: values.get(video, "") for name, values in dataset.columns.items()}
        rows.append(row | found | extra)
    write_table(pd.DataFrame(rows), output / "videos.csv")
    labels = [
        (video, run.start_s, run.end_s, run.phase)
        for video in splits
        for run in dataset.runs.get(video, [])
    ]
    write_table(
        pd.DataFrame(labels, columns=["video", "start_s", "end_s", "phase"]),
        output / "labels.csv",
    )
    write_table(
        pd.DataFrame(list(splits.items()), columns=["video", "split"]), output / "splits.csv"
    )
    write_table(pd.DataFrame({"phase": list(dataset.phases)}), output / "phases.csv")
    write_table(images, output / "images.csv")
    tools = [
        (video, time_s, *present)
        for video in splits
        for time_s, present in dataset.tools.get(video, [])
    ]
    write_table(
        pd.DataFrame(tools, columns=["video", "time_s", *dataset.tool_names]),
        output / "tools.csv",
    )
    write_backbone_tables(output)
    counts = pd.Series(list(splits.values())).value_counts()
    if len(images):
        counts = images["video"].map(splits).value_counts()
    what = f"{len(images)} images" if len(images) else f"{len(splits)} videos"
    summary = ", ".join(f"{counts.get(name, 0)} {name}" for name in ("train", "val", "test"))
    return "\n".join([*(f"note: {note}" for note in notes), f"{output}: {what}: {summary}"])


def survey() -> tuple[float, int, list[str]]:
    """What the doctor shows of the dataset, without hashing it.

    Returns:
        Hours of video, number of videos, notes.

    Raises:
        PipelineError: As run.
    """
    with KnownFiles() as files:
        _, probes, splits, notes = _read(files)
    return sum(p.duration_s for p in probes.values()) / 3600, len(splits), notes


def _read(files: KnownFiles) -> tuple[Dataset, dict[str, Probe], dict[str, str], list[str]]:
    """The dataset, what is in its videos, its splits, and notes for the user."""
    data = read_section(DataParams, "data")
    dataset = layout_of(data.layout).read(Path(data.root), _probes(files, data))
    if dataset.problems:
        count = len(dataset.problems)
        raise PipelineError(
            f"{data.root}: {count} {'problem' if count == 1 else 'problems'} with the labels:\n"
            + "\n".join(f"  {problem}" for problem in dataset.problems)
        )
    splits = split_videos(read_section(SplitParams, "split"), dataset, read_value("seed", int))
    probes = {}
    if not dataset.are_images:
        probes = {
            video: dataset.given.get(video) or files.probe(dataset.paths[video]) for video in splits
        }
    return dataset, probes, splits, dataset.notes + _notes(dataset, probes, splits)


def _probes(files: KnownFiles, data: DataParams) -> Probes:
    """What tells a layout about a file: its packets, or the rate that params.yaml gives."""
    if data.fps is None:
        return files.probe
    given = Probe(fps=round(float(exact_fps(data.fps)), 6))
    return lambda _: given


def _notes(dataset: Dataset, probes: dict[str, Probe], splits: dict[str, str]) -> list[str]:
    notes = [
        f"{video}: {found.problem}: {dataset.paths[video]}. The frames stage will list it."
        for video, found in probes.items()
        if found.problem
    ]
    left_out = sorted(set(dataset.paths) - set(splits))
    if left_out:
        notes.append(f"in no split and left out: {', '.join(left_out)}")
    seen: dict[str, set[str]] = {"train": set(), "val": set(), "test": set()}
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
