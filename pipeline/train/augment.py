"""Random variants of a training video's features, drawn from a seed; never for evaluation."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.training.cross_entropy import UNLABELLED

if TYPE_CHECKING:
    from pipeline.sequences import Sequence as Video
    from pipeline.train.params import AugmentParams


@dataclass(frozen=True)
class Variant:
    """A video as one epoch sees it.

    Attributes:
        features: (T', D), of any length.
        labels: (T',) classes, -1 where unlabelled.
    """

    features: NDArray[np.floating]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.features)


def augment(
    video: "Video",
    seed: int,
    params: "AugmentParams",
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
) -> Variant:
    """A random part of the video, at another speed and shifted, with noise and gaps.

    Args:
        video: Features (T, D) and labels (T,), or (1,) of the whole video.
        seed: The same seed, the same result.
        params: How much of what.
        mean: (D,) of the features: what dropped ones are set to.
        std: (D,) of the features: the unit of the noise.
    """
    # A stream for each: one setting does not shift what another draws.
    of_rows, of_noise, of_features, of_frames = np.random.default_rng(seed).spawn(4)
    rows = drawn_rows(len(video), params, of_rows)
    labels = np.broadcast_to(video.labels, len(video))
    if (labels[rows] == UNLABELLED).all():
        rows = np.arange(len(video))  # nothing could be learnt from a part without labels
    features = video.features[rows]
    if params.noise:
        noise = of_noise.standard_normal(features.shape, dtype=np.float32)
        features = features + np.float32(params.noise) * std * noise
    if params.feature_dropout:
        dropped = of_features.random(features.shape[1]) < params.feature_dropout
        features = np.where(dropped, mean, features)
    if params.frame_dropout:
        lost = of_frames.random(len(features)) < params.frame_dropout
        features = np.where(lost[:, None], mean, features)
    return Variant(features, labels[rows])


def drawn_rows(
    length: int, params: "AugmentParams", generator: np.random.Generator
) -> NDArray[np.intp]:
    """The rows of a video of so many frames that its variant shows, in rising order."""
    share, first, faster, later = generator.random(4)
    kept = max(1, round(length * (params.crop + share * (1 - params.crop))))
    start = int(first * (length - kept + 1))
    frames = max(1, round(kept / (1 + params.speed * (2 * faster - 1))))
    # The old frame that is shown in the middle of the new one.
    rows = start + ((np.arange(frames) + 0.5) * kept / frames).astype(np.intp)
    shift = round(params.shift * (2 * later - 1))
    moved: NDArray[np.intp] = rows[np.clip(np.arange(frames) - shift, 0, frames - 1)]
    return moved
