"""The evaluate stage: the test videos' metrics, predictions, pictures and the report."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline import paths
from pipeline.checkpoint import read_header
from pipeline.determinism import use_deterministic_kernels
from pipeline.drawing.beside import Draw, drawn_beside
from pipeline.drawing.svg_ribbons import ribbon_of, worst_first
from pipeline.errors import PipelineError
from pipeline.evaluate.before_after import changes, unprocessed
from pipeline.evaluate.error_analysis import confused_pairs, near_transitions, worst_runs
from pipeline.evaluate.evidence import evidence
from pipeline.evaluate.facts import measured_facts, untrained
from pipeline.evaluate.feature_view import FeatureView, feature_view
from pipeline.evaluate.folds import (
    classes_seen,
    parts_table,
    read_test_videos,
    scored_parts,
)
from pipeline.evaluate.images import report_images
from pipeline.evaluate.metric_files import write_metrics
from pipeline.evaluate.page import Errors, Page, Warnings, write_page
from pipeline.evaluate.parameters import shown_parameters
from pipeline.evaluate.params import EvaluateParams
from pipeline.evaluate.pictures import write_plots, write_training_picture
from pipeline.evaluate.predict import load_model, predict
from pipeline.evaluate.thumbnails import thumbnails
from pipeline.evaluate.tracks import scored_tracks, write_track_predictions
from pipeline.evaluate.video_stage import run_videos
from pipeline.feature_space.projection import Kind
from pipeline.feature_store import read_attributes
from pipeline.given_features import NETWORK
from pipeline.metrics.boundary import boundaries_by_phase
from pipeline.metrics.frame import confusion
from pipeline.metrics.headline import as_text, headline
from pipeline.metrics.summary import summarise
from pipeline.model_pair import as_fold_knows
from pipeline.networks.temporal.ensemble import chosen
from pipeline.postprocess.applied import of_fold, without_postprocess
from pipeline.prediction_files import write_prediction
from pipeline.runtime import gpus, read_runtime
from pipeline.scored_video import ScoredVideo, pooled
from pipeline.sequences import Sequence as VideoSequence
from pipeline.sequences import read_split
from pipeline.settings import read_raw_section, read_section, read_value
from pipeline.tables import read_folds, read_masked, read_phases, read_skipped
from pipeline.task import read_task

NEAR_S = 10
"""Errors this near to a transition are counted by themselves."""
WORST_RUNS = 6
CONFUSED_PAIRS = 6


def run(reports: Path = paths.REPORTS) -> str:
    """Predict the test videos (and val where there are), score them, write the report.

    Returns:
        The headline, a metric per line.

    Raises:
        PipelineError: No test video, or features that do not belong to the model.
    """
    params = read_section(EvaluateParams, "evaluate")
    device = _device()
    network, temporal = load_model(paths.TEMPORAL, device)
    if temporal.get("task", {}).get("kind") == "video":
        return run_videos(network, temporal, params, device, reports)
    classes, fps = _classes(temporal), temporal["fps"]
    if read_task().of_images:
        return report_images(reports, params, network, temporal, classes, device)
    tests = read_test_videos(temporal)
    sequences = {"test": [test.sequence for test in tests]}
    if None in read_folds():  # with folds, what validates one of them tests another
        sequences["val"] = read_split("val")
    fold_of = {test.video: test.fold for test in tests}

    def scored_by(sequence: VideoSequence, seed: int | None = None) -> ScoredVideo:
        fold = fold_of.get(sequence.video)
        own, header = chosen(network, temporal, fold, seed), as_fold_knows(temporal, fold)
        return predict(own, of_fold(header, fold), sequence, device)

    def scored_plain(sequence: VideoSequence) -> ScoredVideo:
        fold = fold_of.get(sequence.video)
        own, header = chosen(network, temporal, fold), as_fold_knows(temporal, fold)
        return predict(own, without_postprocess(header), sequence, device)

    scored = _predicted(sequences, scored_by)
    details = {
        split: summarise(videos, classes, fps, params.relaxed_seconds, params.bootstrap)
        | unprocessed(sequences[split], scored_plain, temporal, params.relaxed_seconds)
        for split, videos in scored.items()
    }
    parts = scored_parts(tests, scored["test"], scored_by, temporal, params.relaxed_seconds)
    tracks = scored_tracks(network, temporal, params, device)
    write_metrics(reports, details, parts, {track.name: track.details for track in tracks})
    for sequence in sequences["test"]:
        path = reports / "predictions" / f"{sequence.video}.csv"
        write_prediction(path, sequence.time_s, classes, scored["test"][sequence.video])
    write_track_predictions(tracks, reports / "predictions")
    backbone = read_header(paths.BACKBONE)
    parameters = shown_parameters(
        backbone,
        temporal,
        params,
        read_value("data.layout", str),
        read_raw_section("split"),
    )
    plots = reports / "plots"
    with drawn_beside() as draw:
        draw(write_plots, plots, scored, details, classes, fps)
        draw(write_training_picture, plots, paths.TRAIN_REPORT / "history.csv", temporal)
        page = Page(
            facts=measured_facts(tests[0].features, network, backbone, temporal, parameters),
            parameters=parameters,
            warnings=_warnings(scored["test"], fold_of, classes, temporal, backbone),
            details=details["test"],
            changes=changes(details["test"]),
            classes=classes,
            fps=fps,
            ribbons=worst_first(
                [ribbon_of(name, v, fps, len(classes)) for name, v in scored["test"].items()]
            ),
            errors=_errors(scored["test"], fold_of, classes, fps, backbone["name"] == NETWORK),
            tracks=tracks,
            parts=[parts_table(of.removesuffix("s"), found) for of, found in parts.items()],
            features=_features(sequences["test"], scored["test"], classes, params.map, plots, draw),
            pictures={
                "training": plots / "training.png",
                "reliability": plots / "reliability_test.png",
                "roc": plots / "roc_test.png",
            },
        )
    write_page(page, reports / "index.html")
    return as_text(headline(details["test"]))


def _device() -> torch.device:
    runtime = read_runtime()
    torch.set_num_threads(runtime.thread_count)
    use_deterministic_kernels()
    return torch.device("cuda" if gpus(runtime) > 0 else "cpu")


def _classes(temporal: Mapping[str, Any]) -> tuple[str, ...]:
    """The model's classes, which must be those of the index."""
    classes = tuple(temporal["classes"])
    if classes != read_phases():
        raise PipelineError(
            f"{paths.TEMPORAL}: trained on the phases {', '.join(classes)}, but "
            f"{paths.INDEX}/phases.csv holds {', '.join(read_phases())}. Run `dvc repro train`."
        )
    return classes


def _predicted(
    sequences: Mapping[str, Sequence[VideoSequence]],
    scored_by: Callable[[VideoSequence], ScoredVideo],
) -> dict[str, dict[str, ScoredVideo]]:
    """Videos by name, by split, of the splits that have a label."""
    scored = {
        split: {s.video: scored_by(s) for s in found}
        for split, found in sequences.items()
        if any((s.labels >= 0).any() for s in found)
    }
    if "test" not in scored:
        raise PipelineError(
            f"{paths.INDEX}/splits.csv: test has no readable video with labels. Give it one "
            "(split in params.yaml)."
        )
    return scored


def _warnings(
    test: Mapping[str, ScoredVideo],
    fold_of: Mapping[str, int | None],
    classes: Sequence[str],
    temporal: Mapping[str, Any],
    backbone: Mapping[str, Any],
) -> Warnings:
    unseen = {
        number
        for name, video in test.items()
        for number in np.unique(video.truth[video.labelled])
        if classes[number] not in classes_seen(temporal, fold_of[name])
    }
    return Warnings(
        untrained=untrained(backbone),
        skipped=list(read_skipped(paths.FEATURES).itertuples(index=False, name=None)),
        masked=list(read_masked(paths.FEATURES).itertuples(index=False, name=None)),
        unseen=[classes[number] for number in sorted(unseen)],
    )


def _errors(
    test: Mapping[str, ScoredVideo],
    fold_of: Mapping[str, int | None],
    classes: Sequence[str],
    fps: float,
    without_frames: bool,
) -> Errors:
    videos = list(test.values())
    truth, prediction, _ = pooled(test)
    matrix = confusion(truth, prediction, len(classes))
    runs = worst_runs(test, WORST_RUNS)
    folders = {run.video: paths.features_of(fold_of[run.video]) for run in runs}
    features = {video: read_attributes(at / f"{video}.h5") for video, at in folders.items()}
    shown = {run: thumbnails(run, features[run.video]) for run in runs}
    heat = evidence([run for run in runs if shown[run]], fold_of)
    return Errors(
        matrix=matrix,
        pairs=confused_pairs(matrix, CONFUSED_PAIRS),
        near=near_transitions(videos, fps, NEAR_S),
        without_frames=without_frames,
        runs=[(run, shown[run], heat.get(run)) for run in runs],
        boundaries=boundaries_by_phase([(v.truth, v.prediction) for v in videos], classes, fps),
    )


def _features(
    test: Sequence[VideoSequence],
    scored: Mapping[str, ScoredVideo],
    classes: Sequence[str],
    kind: Kind,
    plots: Path,
    draw: Draw,
) -> FeatureView | None:
    """None where no training video with labels is there to compare with.

    With several folds every video is both, and there is nothing to compare.
    """
    if None not in read_folds():
        return None
    training = [s for s in read_split("train") if (s.labels >= 0).any()]
    if not training:
        return None
    labelled = [s for s in test if (s.labels >= 0).any()]
    runs = worst_runs(scored, WORST_RUNS)
    return feature_view(training, labelled, runs, classes, kind, plots, draw)
