"""What the features see: a map of them, what neighbours share, and those of the worst moments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.drawing.beside import Draw
from pipeline.drawing.colours import class_colours
from pipeline.drawing.feature_map import feature_map_picture, video_colours
from pipeline.evaluate.bad_moments import BadMoment, bad_moments
from pipeline.evaluate.error_analysis import WrongRun
from pipeline.feature_space.pool import Pool, pooled
from pipeline.feature_space.projection import Kind, feature_map
from pipeline.feature_space.separation import Separation, separation
from pipeline.sequences import Sequence as VideoSequence
from pipeline.tables import write_table

MAP_FRAMES = 3000
"""Labelled frames of the training videos, and of the test videos, at most: the same number of each
video and evenly spaced, so that 80 long operations take three seconds."""


@dataclass(frozen=True)
class FeatureView:
    """What the page shows of the features.

    Attributes:
        separation: What neighbours share, over the frames of the map.
        training_frames: On the map.
        test_frames: On the map.
        kind: How the map was made.
        pictures: The map in the colours of phases and of videos: PNG files by `phase`, `video`.
        moments: The wrong runs, the longest first.
    """

    separation: Separation
    training_frames: int
    test_frames: int
    kind: Kind
    pictures: Mapping[str, Path]
    moments: Sequence[BadMoment]


def feature_view(
    training: Sequence[VideoSequence],
    test: Sequence[VideoSequence],
    runs: Sequence[WrongRun],
    classes: Sequence[str],
    kind: Kind,
    plots: Path,
    draw: Draw,
) -> FeatureView:
    """Write the map as a table and as pictures, and gather what the page shows.

    Args:
        training: Training videos with labels.
        test: Test videos with labels.
        runs: Wrong runs of test videos.
        classes: Names in class order.
        kind: How the map is made.
        plots: reports/plots.
        draw: Calls what draws a picture with its arguments.

    Raises:
        PipelineError: The map needs a package that is not installed.
    """
    known, unseen = pooled(training, MAP_FRAMES), pooled(test, MAP_FRAMES)
    pool = known.followed_by(unseen)
    placed = feature_map(kind, known.features, unseen.features)
    points = np.concatenate([placed.training, placed.others])
    is_test = np.arange(len(pool)) >= len(known)
    _write_map(plots / "features_map.csv", points, pool, is_test, classes)
    pictures = {}
    for by, groups, names, colours in (
        ("phase", pool.labels, classes, class_colours(len(classes))),
        ("video", pool.video, pool.videos, video_colours(len(pool.videos))),
    ):
        pictures[by] = plots / f"features_by_{by}.png"
        how = (points, placed.axes, groups, names, colours, is_test, f"by {by}")
        draw(feature_map_picture, pictures[by], *how)
    return FeatureView(
        separation=separation(pool),
        training_frames=len(known),
        test_frames=len(unseen),
        kind=kind,
        pictures=pictures,
        moments=bad_moments(training, test, runs),
    )


def _write_map(
    path: Path,
    points: NDArray[np.float32],
    pool: Pool,
    is_test: NDArray[np.bool_],
    classes: Sequence[str],
) -> None:
    """`x, y, phase, video, time_s, split`, a row per frame of the map."""
    table = pd.DataFrame(
        {
            "x": points[:, 0],
            "y": points[:, 1],
            "phase": np.array(classes)[pool.labels],
            "video": np.array(pool.videos)[pool.video],
            "time_s": pool.time_s,
            "split": np.where(is_test, "test", "train"),
        }
    )
    write_table(table, path)
