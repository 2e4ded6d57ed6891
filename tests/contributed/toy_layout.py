"""Videos whose first phase is their first half: `read` is all that a layout needs."""

from pathlib import Path

from pipeline.index.layouts.dataset import Dataset, Probes, Run, find_videos


def read(root: Path, probes: Probes) -> Dataset:
    """The videos below root, each split in the middle; odd ones are for training.

    Raises:
        PipelineError: There is no video.
    """
    dataset = Dataset(find_videos(root), phases=("first", "second"))
    dataset.split = {}
    for number, (video, path) in enumerate(dataset.paths.items()):
        middle_s = probes(path).duration_s / 2
        dataset.runs[video] = [Run(0, middle_s, "first"), Run(middle_s, 2 * middle_s, "second")]
        dataset.split[video] = ("train", "test", "val")[number % 3]
    return dataset
