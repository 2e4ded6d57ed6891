"""The evaluate stage: the test videos' metrics, predictions, pictures and the report."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline import paths
from pipeline.atomic import write_text
from pipeline.checkpoint import read_header
from pipeline.determinism import use_deterministic_kernels
from pipeline.drawing.svg_ribbons import ribbon_of, worst_first
from pipeline.errors import PipelineError
from pipeline.evaluate.error_analysis import confused_pairs, near_transitions, worst_runs
from pipeline.evaluate.evidence import evidence
from pipeline.evaluate.facts import cost_in, facts, untrained
from pipeline.evaluate.feature_view import FeatureView, feature_view
from pipeline.evaluate.images import report_images
from pipeline.evaluate.page import Errors, Page, Warnings, write_page
from pipeline.evaluate.parameters import shown_parameters
from pipeline.evaluate.params import EvaluateParams
from pipeline.evaluate.pictures import write_plots, write_training_picture
from pipeline.evaluate.predict import load_model, pooled, predict
from pipeline.evaluate.thumbnails import thumbnails
from pipeline.feature_space.projection import Kind
from pipeline.feature_store import read_attributes
from pipeline.given_features import NETWORK
from pipeline.metrics.boundary import boundaries_by_phase
from pipeline.metrics.frame import confusion
from pipeline.metrics.headline import as_text, headline
from pipeline.metrics.summary import compared_values, summarise
from pipeline.networks.cost import sequence_cost
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.prediction_files import write_prediction
from pipeline.runtime import gpus, read_runtime
from pipeline.scored_video import ScoredVideo
from pipeline.sequences import Sequence as VideoSequence
from pipeline.sequences import read_split
from pipeline.settings import read_section, read_value
from pipeline.tables import read_masked, read_phases, read_skipped
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
    classes, fps = _classes(temporal), temporal["fps"]
    if read_task().of_images:
        return report_images(reports, params, network, temporal, classes, device)
    sequences = {split: read_split(split) for split in ("val", "test")}
    scored = _predicted(sequences, network, temporal, device)
    details = {
        split: summarise(videos, classes, fps, params.relaxed_seconds, params.bootstrap)
        for split, videos in scored.items()
    }
    _write_json(reports / "details.json", details)
    kept = {split: compared_values(metrics) for split, metrics in details.items()}
    _write_json(reports / "metrics.json", kept)
    for sequence in sequences["test"]:
        path = reports / "predictions" / f"{sequence.video}.csv"
        write_prediction(path, sequence.time_s, classes, scored["test"][sequence.video])
    write_plots(reports / "plots", scored, details, classes, fps)
    write_training_picture(reports / "plots", temporal["best_epoch"])
    backbone = read_header(paths.BACKBONE)
    parameters = shown_parameters(
        backbone,
        temporal,
        params,
        read_value("data.layout", str),
        read_value("split.scheme", str),
    )
    plots = reports / "plots"
    page = Page(
        facts=_facts(sequences["test"][0], network, backbone, temporal, parameters),
        parameters=parameters,
        warnings=_warnings(scored["test"], classes, temporal, backbone),
        details=details["test"],
        classes=classes,
        fps=fps,
        ribbons=worst_first(
            [ribbon_of(name, v, fps, len(classes)) for name, v in scored["test"].items()]
        ),
        errors=_errors(scored["test"], classes, fps, backbone["name"] == NETWORK),
        features=_features(sequences["test"], scored["test"], classes, params.map, plots),
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
    network: TemporalModule,
    temporal: dict[str, Any],
    device: torch.device,
) -> dict[str, dict[str, ScoredVideo]]:
    """Videos by name, by split, of the splits that have a label."""
    scored = {
        split: {s.video: predict(network, temporal, s, device) for s in found}
        for split, found in sequences.items()
        if any((s.labels >= 0).any() for s in found)
    }
    if "test" not in scored:
        raise PipelineError(
            f"{paths.INDEX}/splits.csv: test has no readable video with labels. Give it one "
            "(split in params.yaml)."
        )
    return scored


def _facts(
    sequence: VideoSequence,
    network: TemporalModule,
    backbone: Mapping[str, Any],
    temporal: Mapping[str, Any],
    parameters: Mapping[str, str],
) -> list[tuple[str, str]]:
    cnn = cost_in(read_attributes(paths.FEATURES / f"{sequence.video}.h5"))
    head = sequence_cost(network, network.dim)
    return facts(backbone, temporal, parameters, cnn, head)


def _warnings(
    test: Mapping[str, ScoredVideo],
    classes: Sequence[str],
    temporal: Mapping[str, Any],
    backbone: Mapping[str, Any],
) -> Warnings:
    truth, _, _ = pooled(test)
    return Warnings(
        untrained=untrained(backbone),
        skipped=list(read_skipped(paths.FEATURES).itertuples(index=False, name=None)),
        masked=list(read_masked(paths.FEATURES).itertuples(index=False, name=None)),
        unseen=[classes[i] for i in np.unique(truth) if classes[i] not in temporal["classes_seen"]],
    )


def _errors(
    test: Mapping[str, ScoredVideo], classes: Sequence[str], fps: float, without_frames: bool
) -> Errors:
    videos = list(test.values())
    truth, prediction, _ = pooled(test)
    matrix = confusion(truth, prediction, len(classes))
    runs = worst_runs(test, WORST_RUNS)
    features = {run.video: read_attributes(paths.FEATURES / f"{run.video}.h5") for run in runs}
    shown = {run: thumbnails(run, features[run.video]) for run in runs}
    heat = evidence([run for run in runs if shown[run]])
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
) -> FeatureView | None:
    """None where no training video with labels is there to compare with."""
    training = [s for s in read_split("train") if (s.labels >= 0).any()]
    if not training:
        return None
    labelled = [s for s in test if (s.labels >= 0).any()]
    runs = worst_runs(scored, WORST_RUNS)
    return feature_view(training, labelled, runs, classes, kind, plots)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
