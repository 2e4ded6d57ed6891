"""What a smaller network learns from: frames, and the features that the large one has of them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline import paths
from pipeline.backbone.adabn import evenly_spaced
from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.backbone.read_frames import read_frames
from pipeline.checkpoint import load_checkpoint, tensors_hash
from pipeline.errors import PipelineError
from pipeline.feature_store import read_features
from pipeline.features.params import FeaturesParams
from pipeline.networks.backbones.contract import Tensors
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.backbones.transform_record import read_transform
from pipeline.settings import read_section

COMPARED_FRAMES = 100
"""Of each validation video, to see how close the features come."""

# What a features file says of its frames, its weights and their images.
_MADE_FROM = ("frames_fingerprint", "weights_hash", "crop")


@dataclass(frozen=True)
class Teacher:
    """The backbone of the project as it is now.

    Attributes:
        tensors: Its weights.
        header: Of models/backbone.safetensors.
        weights_hash: Of the tensors.
    """

    tensors: Tensors
    header: dict[str, Any]
    weights_hash: str

    @property
    def name(self) -> str:
        """As build_backbone takes it."""
        return str(self.header["name"])

    @property
    def transform(self) -> Transform:
        """What it sees of a frame when the features stage does not crop otherwise."""
        return read_transform(self.header["transform"])


@dataclass(frozen=True)
class Examples:
    """Frames of several videos with the teacher's features.

    Attributes:
        frames: One row each; their labels are not read.
        features: (T, D) of each video in `frames.containers`, by sample, mapped from the file.
        fingerprints: Of these features.
    """

    frames: LabelledFrames
    features: tuple[NDArray[Any], ...]
    fingerprints: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frames)

    def targets(self, rows: NDArray[np.intp]) -> torch.Tensor:
        """The features of these rows, (B, D) float32."""
        return torch.from_numpy(rows_of(self.features, self.frames, rows).astype(np.float32))

    def mean_and_std(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Of each feature over all rows, (D,) float32 each, summed video by video in float64."""
        count, total, squares = 0, np.zeros(self.dim), np.zeros(self.dim)
        for video, features in enumerate(self.features):
            own = features[self.frames.sample[self.frames.video == video]].astype(np.float64)
            count += len(own)
            total += own.sum(axis=0)
            squares += (own**2).sum(axis=0)
        mean = total / count
        std = np.sqrt(np.maximum(squares / count - mean**2, 0))
        return torch.from_numpy(mean).float(), torch.from_numpy(std).float()

    @property
    def dim(self) -> int:
        """D, length of the teacher's feature vector."""
        return int(self.features[0].shape[1])


def read_teacher() -> Teacher:
    """The backbone in models/.

    Raises:
        PipelineError: There is none, it is a hybrid, or it reads clips.
    """
    tensors, header = load_checkpoint(paths.BACKBONE)
    name = str(header["name"])
    if "+" in name or "@" in name:
        what = "is several networks in one" if "+" in name else "reads clips"
        raise PipelineError(
            f"{paths.BACKBONE}: found {name}, which {what}. Allowed for compress: one network that "
            "reads single images. Set backbone.name to one and run `dvc repro features`."
        )
    return Teacher(tensors, header, tensors_hash(tensors))


def read_examples(teacher: Teacher) -> Examples:
    """All frames of the training videos, labelled or not, without damaged ones.

    Raises:
        PipelineError: There are no frames or features of training videos, or the features are not
            the teacher's.
    """
    examples = _read("train", teacher)
    if len(examples) < 2:
        raise PipelineError(
            f"{paths.INDEX}/splits.csv: found {len(examples)} frames of training videos; compress "
            "learns from theirs. Give train some videos (split in params.yaml)."
        )
    return examples


def read_compared(teacher: Teacher) -> Examples | None:
    """Some frames of the validation videos, evenly spaced; None where there are no such videos.

    Raises:
        PipelineError: As read_examples.
    """
    examples = _read("val", teacher)
    if len(examples) == 0:
        return None
    return replace(examples, frames=evenly_spaced(examples.frames, COMPARED_FRAMES))


def crop_of_features() -> int | None:
    """The side of the images that features are taken from, as features.crop says."""
    return read_section(FeaturesParams, "features").crop


def _read(split: str, teacher: Teacher) -> Examples:
    frames = read_frames((split,), labels=False)
    expected_px = teacher.transform.cropped(crop_of_features()).crop_px
    features, fingerprints = [], []
    for container, of_frames in zip(frames.containers, frames.fingerprints, strict=True):
        path = paths.FEATURES / container.name
        found = read_features(path)
        made_from = [found.attributes.get(key) for key in _MADE_FROM]
        if made_from != [of_frames, teacher.weights_hash, expected_px]:
            raise PipelineError(
                f"{path}: these are not the features of {paths.BACKBONE} for {container}. Run "
                "`dvc repro features`."
            )
        features.append(found.features)
        fingerprints.append(str(found.attributes["fingerprint"]))
    return Examples(frames, tuple(features), tuple(fingerprints))


def rows_of(
    by_video: tuple[NDArray[Any], ...], frames: LabelledFrames, rows: NDArray[np.intp]
) -> NDArray[Any]:
    """(B, D) of what each video has by sample, (T, D), for these rows of the frames."""
    pairs = zip(frames.video[rows].tolist(), frames.sample[rows].tolist(), strict=True)
    return np.stack([by_video[video][sample] for video, sample in pairs])
