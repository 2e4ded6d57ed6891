"""What every layout is read into, and the checks that hold for all of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.index.probe import Probe

VIDEO_ENDINGS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v", ".mts", ".wmv")
# One sampled frame: published label files are often one frame longer or shorter than the video.
LENGTH_TOLERANCE_S = 1.0


@dataclass(frozen=True)
class Run:
    """One phase from start_s to end_s (exclusive), in seconds."""

    start_s: float
    end_s: float
    phase: str


@dataclass(frozen=True)
class Track:
    """What frames are labelled with beside the phase, such as the step.

    Attributes:
        classes: Names in class order.
        runs: Video to its runs of one class, in order, without overlap.
    """

    classes: tuple[str, ...]
    runs: dict[str, list[Run]]


@dataclass
class Dataset:
    """A dataset, read but not yet checked as a whole.

    Attributes:
        paths: Video to its file.
        runs: Video to its runs, in order, without overlap.
        phases: Names in class order.
        tracks: Name to what else frames are labelled with, if anything.
        split: Video to train, val or test, where the dataset says so itself.
        columns: Further columns of videos.csv: name to (video to value).
        tool_names: Tools that the dataset labels, if any.
        tools: Video to its tool labels: time in seconds and 0 or 1 per name.
        given: Video to what its file holds, where that is an array of features (given_features.py).
        are_images: Whether there are single images in place of videos: then all is by image.
        bundles: Number of a published split to its videos, each in train or test.
        notes: What a user should know, but need not mend.
        problems: What is wrong, each naming file and line.
    """

    paths: dict[str, Path]
    runs: dict[str, list[Run]] = field(default_factory=dict)
    phases: tuple[str, ...] = ()
    tracks: dict[str, Track] = field(default_factory=dict)
    split: dict[str, str] | None = None
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    tool_names: tuple[str, ...] = ()
    tools: dict[str, list[tuple[float, tuple[int, ...]]]] = field(default_factory=dict)
    given: dict[str, Probe] = field(default_factory=dict)
    are_images: bool = False
    bundles: dict[int, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


Probes = Callable[[Path], Probe]


def find_videos(folder: Path) -> dict[str, Path]:
    """The videos below a folder by name (file name without ending), sorted.

    Raises:
        PipelineError: The folder is missing or has no video, or two videos have one name.
    """
    if not folder.is_dir():
        raise PipelineError(
            f"{folder}: no such folder. Set data.root in params.yaml to where the dataset lies."
        )
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in VIDEO_ENDINGS or not path.is_file():
            continue
        # macOS leaves `._video01.mp4` beside video01.mp4 on disks of other systems.
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.stem in found:
            raise PipelineError(
                f"{folder}: two videos have the name {path.stem}: {found[path.stem]} and {path}. "
                "Names identify videos; rename one, and its labels."
            )
        found[path.stem] = path
    if not found:
        raise PipelineError(
            f"{folder}: holds no video ({', '.join(VIDEO_ENDINGS)}). Set data.root in params.yaml "
            "to where the dataset lies, and data.layout to how it lies there."
        )
    return found


def check_length(
    dataset: Dataset, video: str, labels_s: float, video_s: float, source: str, covers: bool
) -> None:
    """Compare the length of labels and video, both in seconds.

    Up to one sampled frame of difference is a note. More is a problem; labels that are too short
    only where they should cover the whole video (`covers`).
    """
    difference_s = labels_s - video_s
    if difference_s > LENGTH_TOLERANCE_S + 1e-6 or (
        covers and difference_s < -LENGTH_TOLERANCE_S - 1e-6
    ):
        word = "longer" if difference_s > 0 else "shorter"
        dataset.problems.append(
            f"{source}: the labels are {labels_s:.2f} s long, the video {video} "
            f"({dataset.paths[video]}) {video_s:.2f} s: {word} by more than one sampled frame "
            f"({LENGTH_TOLERANCE_S:g} s). Do they belong together, and is the video whole?"
        )
    elif difference_s > 0.05 or (covers and difference_s < -0.05):
        dataset.notes.append(
            f"{video}: labels {labels_s:.2f} s, video {video_s:.2f} s; accepted, less than one "
            "sampled frame"
        )


def runs_of_frames(
    frames: list[int], phases: list[str], seconds: Callable[[int], float], step: int
) -> list[Run]:
    """Runs from one label per row.

    Args:
        frames: Frame numbers, ascending.
        phases: The phase at each.
        seconds: When the frame with a number is shown; also asked for numbers after the last.
        step: Frames from one row to the next; a larger gap is unlabelled time.
    """
    runs: list[Run] = []
    for frame, phase in zip(frames, phases, strict=True):
        start_s, end_s = seconds(frame), seconds(frame + step)
        if runs and runs[-1].phase == phase and abs(runs[-1].end_s - start_s) < 1e-6:
            runs[-1] = Run(runs[-1].start_s, end_s, phase)
        else:
            runs.append(Run(start_s, end_s, phase))
    return runs
