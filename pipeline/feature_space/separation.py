"""What makes features alike: the phase that they show, or the video that they come from."""

from dataclasses import dataclass

import torch

from pipeline.feature_space.neighbours import K, cosines, unit_length
from pipeline.feature_space.pool import Pool

NEAR_S = 30
"""Frames of one video nearer in time than this are one moment, and count as no neighbours."""


@dataclass(frozen=True)
class Share:
    """How often something holds, and how often it would by chance.

    Attributes:
        found: Share of 0 to 1; NaN where no frame has a neighbour.
        chance: The same for neighbours that were drawn at random.
    """

    found: float
    chance: float

    @property
    def lift(self) -> float:
        """How many times more often than by chance; NaN where chance is 0."""
        return self.found / self.chance if self.chance else float("nan")


@dataclass(frozen=True)
class Separation:
    """What the neighbours of a frame have in common with it.

    Phases and videos are not independent: a video holds some phases and not others. So the chance
    of one is taken with the other held fixed, and features that know only phases have a lift of 1
    for videos, and the other way round.

    Attributes:
        nearest_elsewhere: The nearest frame of another video shows the same phase. This is the
            accuracy of a nearest-neighbour classifier that never saw the frame's video. By chance:
            any frame of another video.
        same_phase: Of the K nearest frames of any video, more than NEAR_S away in the own one,
            those that show the same phase. By chance: any frame of the video that the neighbour
            comes from.
        same_video: Of the same K, those of the same video. By chance: any frame of the phase that
            the neighbour shows.
    """

    nearest_elsewhere: Share
    same_phase: Share
    same_video: Share


def separation(pool: Pool) -> Separation:
    """What the neighbours of each frame have in common with it, by cosine.

    Args:
        pool: Frames of several videos.

    Returns:
        Means over all frames that have a neighbour.
    """
    features = unit_length(pool.features)
    label, video = torch.from_numpy(pool.labels), torch.from_numpy(pool.video)
    time_s = torch.from_numpy(pool.time_s)
    all_alike = torch.ones(len(pool), 1)
    by_label, by_video = (torch.nn.functional.one_hot(groups).float() for groups in (label, video))
    elsewhere, phase, own = _Mean(), _Mean(), _Mean()
    for rows, cosine in cosines(features, features):
        same_video = video[rows, None] == video
        same_phase = label[rows, None] == label
        near = _Nearest.of(cosine, ~same_video, 1)
        elsewhere.add(near, same_phase, all_alike)
        apart = ~same_video | ((time_s[rows, None] - time_s).abs() > NEAR_S)
        near = _Nearest.of(cosine, apart, K)
        phase.add(near, same_phase, by_video)
        own.add(near, same_video, by_label)
    return Separation(elsewhere.share(), phase.share(), own.share())


@dataclass(frozen=True)
class _Nearest:
    """The neighbours of a block of frames.

    Attributes:
        index: (B, k).
        there: (B, k), False where fewer than k frames are allowed.
        allowed: (B, N), who may be a neighbour.
    """

    index: torch.Tensor
    there: torch.Tensor
    allowed: torch.Tensor

    @classmethod
    def of(cls, cosine: torch.Tensor, allowed: torch.Tensor, k: int) -> "_Nearest":
        top = cosine.masked_fill(~allowed, -torch.inf).topk(min(k, cosine.shape[1]), dim=1)
        return cls(top.indices, top.values.isfinite(), allowed)


class _Mean:
    """Collects, block by block, how often neighbours and random frames have a property."""

    def __init__(self) -> None:
        self._found: list[torch.Tensor] = []
        self._chance: list[torch.Tensor] = []

    def add(self, near: _Nearest, has: torch.Tensor, groups: torch.Tensor) -> None:
        """One block.

        Args:
            near: The neighbours.
            has: (B, N), who has the property.
            groups: (N, G) one-hot; a random neighbour is drawn from the group of the found one.
        """
        number = near.there.sum(dim=1)
        self._found.append((has.gather(1, near.index) & near.there).sum(dim=1) / number)
        shares = ((has & near.allowed).float() @ groups) / (near.allowed.float() @ groups)  # (B, G)
        chance = shares.gather(1, groups.argmax(dim=1)[near.index])
        self._chance.append(chance.where(near.there, 0).sum(dim=1) / number)

    def share(self) -> Share:
        """The means over all frames that have a neighbour."""
        found, chance = torch.cat(self._found).double(), torch.cat(self._chance).double()
        return Share(float(found.nanmean()), float(chance.nanmean()))
