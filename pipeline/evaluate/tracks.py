"""The labels of test videos beside their phases: metrics, predictions, a section of the report.

They are the network's own: post-processing is fitted to phases alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline import paths
from pipeline.drawing.colours import class_colours, text_colour
from pipeline.drawing.svg_ribbons import Ribbon, ribbon_of, worst_first
from pipeline.errors import PipelineError
from pipeline.evaluate.folds import HeldOut, read_test_videos
from pipeline.evaluate.params import EvaluateParams
from pipeline.evaluate.predict import predict
from pipeline.metrics.frame import confusion
from pipeline.metrics.headline import Line, headline
from pipeline.metrics.summary import summarise
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.networks.temporal.ensemble import Ensemble, chosen
from pipeline.networks.temporal.track_heads import TrackHeads
from pipeline.postprocess.applied import without_postprocess
from pipeline.prediction_files import write_prediction
from pipeline.scored_video import ScoredVideo, pooled
from pipeline.tracks import read_track


@dataclass(frozen=True)
class ScoredTrack:
    """A further track of the test videos.

    Attributes:
        name: Such as step.
        classes: Names in class order.
        fps: Frames per second.
        tests: The test videos with their labels in this track.
        scored: Predicted, by name.
        details: What summarise returns.
    """

    name: str
    classes: tuple[str, ...]
    fps: float
    tests: Sequence[HeldOut]
    scored: Mapping[str, ScoredVideo]
    details: Mapping[str, Any]

    @property
    def headline(self) -> list[Line]:
        """The metrics that are compared."""
        return headline(self.details)

    @cached_property
    def ribbons(self) -> list[Ribbon]:
        """The test videos from worst to best."""
        number = len(self.classes)
        return worst_first([ribbon_of(v, s, self.fps, number) for v, s in self.scored.items()])

    @property
    def matrix(self) -> NDArray[np.int64]:
        """(C, C) frames by true class (rows) and predicted class (columns)."""
        truth, prediction, _ = pooled(self.scored)
        return confusion(truth, prediction, len(self.classes))

    @property
    def colours(self) -> list[tuple[str, str]]:
        """Of each class, and that of text on it."""
        return [(colour, text_colour(colour)) for colour in class_colours(len(self.classes))]


def scored_tracks(
    network: TemporalModule,
    temporal: Mapping[str, Any],
    params: EvaluateParams,
    device: torch.device,
) -> list[ScoredTrack]:
    """The test videos in each further track of the model, each by networks that did not see it.

    Args:
        network: As the header rebuilds it.
        temporal: Header of models/temporal.safetensors.
        params: The section `evaluate`.
        device: Where to predict.

    Raises:
        PipelineError: The index has another track than the model was trained on.
    """
    found = []
    further = temporal["task"]["tracks"][1:] if "tracks" in temporal else []
    for number, name in enumerate(further, start=1):
        classes = _classes(name, temporal)
        tests = read_test_videos(temporal, name)
        own, plain = answering(network, number), without_postprocess(temporal)
        scored = {
            test.video: predict(chosen(own, temporal, test.fold), plain, test.sequence, device)
            for test in tests
        }
        fps = float(temporal["fps"])
        details = summarise(scored, classes, fps, params.relaxed_seconds, params.bootstrap)
        found.append(ScoredTrack(name, classes, fps, tests, scored, details))
    return found


def answering(network: TemporalModule, track: int) -> TemporalModule:
    """The same trained network, or ensemble, of which another track predicts.

    Args:
        network: With a head for each track.
        track: Its place among the tracks, from 0.
    """
    if isinstance(network, Ensemble):
        members = range(len(network.members))
        return Ensemble([answering(network[member], track) for member in members])
    assert isinstance(network, TrackHeads)
    return network.answering(track)


def write_track_predictions(tracks: Sequence[ScoredTrack], folder: Path) -> None:
    """Write <track>/<video>.csv, as the phases' tables in the folder itself."""
    for track in tracks:
        for test in track.tests:
            path = folder / track.name / f"{test.video}.csv"
            scored = track.scored[test.video]
            write_prediction(path, test.sequence.time_s, track.classes, scored)


def _classes(name: str, temporal: Mapping[str, Any]) -> tuple[str, ...]:
    """The model's classes of a track, which must be those of the index."""
    learnt, known = tuple(temporal["tracks"][name]), read_track(name)[1]
    if learnt != known:
        raise PipelineError(
            f"{paths.TEMPORAL}: trained on the classes {', '.join(learnt)} of {name}, but "
            f"{paths.INDEX}/track_classes.csv holds {', '.join(known)}. Run `dvc repro train`."
        )
    return learnt
