"""The evaluate stage: the test videos' metrics, predictions, figures and the report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.atomic import write_text
from pipeline.checkpoint import read_header
from pipeline.drawing.curves import reliability_picture, roc_picture, training_picture
from pipeline.drawing.pictures import SCREEN_DPI, confusion_picture, phase_bars, ribbon
from pipeline.drawing.svg_ribbons import ribbon_of, worst_first
from pipeline.errors import PipelineError
from pipeline.evaluate.efficiency import backbone_cost, head_cost, write_efficiency
from pipeline.evaluate.error_analysis import confused_pairs, near_transitions, worst_runs
from pipeline.evaluate.page import Page, write_page
from pipeline.evaluate.params import EvaluateParams
from pipeline.evaluate.plots import (
    write_confusion,
    write_phase_scores,
    write_reliability,
    write_ribbons,
)
from pipeline.evaluate.predict import load_model, predict
from pipeline.evaluate.provenance import digest, facts, parameters, untrained
from pipeline.evaluate.thumbnails import thumbnails
from pipeline.metrics.boundary import boundaries_by_phase
from pipeline.metrics.calibration import Probabilities, reliability
from pipeline.metrics.frame import confusion
from pipeline.metrics.headline import as_text, headline
from pipeline.metrics.measure import ScoredVideo
from pipeline.metrics.summary import summarise
from pipeline.prediction_files import write_prediction
from pipeline.runtime import gpus, read_runtime
from pipeline.segments import Labels
from pipeline.sequences import FEATURES, read_split
from pipeline.settings import read_section
from pipeline.tables import read_phases, read_skipped

BACKBONE = Path("models/backbone.safetensors")
TEMPORAL = Path("models/temporal.safetensors")
CURVES = Path("reports/train/history.csv")
REPORTS = Path("reports")
NEAR_S = 10
"""Errors this near to a transition are counted apart."""
WORST_RUNS = 6
CONFUSED_PAIRS = 6


def run(reports: Path = REPORTS) -> str:
    """Predict the test videos (and val where there are), score them, write the report.

    Returns:
        The headline figures, one per line.

    Raises:
        PipelineError: No test video, or features that do not belong to the model.
    """
    params = read_section(EvaluateParams, "evaluate")
    runtime = read_runtime()
    torch.set_num_threads(runtime.thread_count)
    gpu = gpus(runtime) > 0
    device = torch.device("cuda" if gpu else "cpu")
    network, header = load_model(TEMPORAL, device)
    phases = tuple(header["classes"])
    if phases != read_phases():
        raise PipelineError(
            f"{TEMPORAL}: trained on the phases {', '.join(phases)}, but data/index/phases.csv "
            f"holds {', '.join(read_phases())}. Run `dvc repro train`."
        )
    sequences = {split: read_split(split) for split in ("val", "test")}
    scored = {
        split: {s.video: predict(network, header, s, device) for s in found}
        for split, found in sequences.items()
        if any((s.labels >= 0).any() for s in found)
    }
    if "test" not in scored:
        raise PipelineError("data/index/splits.csv: test has no readable video with labels.")
    metrics = {
        split: summarise(videos, phases, header["fps"], params.relaxed_seconds, params.bootstrap)
        for split, videos in scored.items()
    }
    write_text(reports / "metrics.json", json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    for sequence in sequences["test"]:
        path = reports / "predictions" / f"{sequence.video}.csv"
        write_prediction(path, sequence.time_s, phases, scored["test"][sequence.video])
    _plots(reports / "plots", scored, metrics, phases, header)
    backbone = read_header(BACKBONE)
    crop_px = int(backbone["transform"]["crop_px"])
    costs = backbone_cost(backbone["name"], crop_px), head_cost(network)
    about = facts(backbone, header, *costs)
    page = _page(reports / "plots", scored["test"], metrics, phases, header, about)
    write_page(page, reports / "index.html")
    write_efficiency(reports / "efficiency.json", backbone["name"], crop_px, network, device)
    return as_text(headline(metrics))


def _plots(
    folder: Path,
    scored: dict[str, dict[str, ScoredVideo]],
    metrics: dict[str, Any],
    phases: tuple[str, ...],
    header: dict[str, Any],
) -> None:
    """Tables for `dvc plots`, and pictures beside them."""
    for split, videos in scored.items():
        truth, prediction, probabilities = _pooled(videos)
        matrix = confusion(truth, prediction, len(phases))
        write_confusion(folder / f"confusion_{split}.csv", list(videos.values()), phases)
        confusion_picture(folder / f"confusion_{split}.png", matrix, phases, SCREEN_DPI)
        write_phase_scores(folder / f"phases_{split}.csv", metrics[split], phases)
        write_reliability(folder / f"reliability_{split}.csv", reliability(truth, probabilities))
    test = scored["test"]
    write_ribbons(folder / "ribbons_test.csv", test, header["fps"], phases)
    for name, video in test.items():
        path = folder / "ribbons" / f"{name}.png"
        ribbon(path, video, header["fps"], phases, name, SCREEN_DPI)
    phase_bars(folder / "phases_test.png", metrics["test"]["phase"], phases, SCREEN_DPI)
    truth, _, probabilities = _pooled(test)
    reliability_picture(folder / "reliability_test.png", reliability(truth, probabilities))
    areas = [metrics["test"]["phase"][phase]["roc_auc"] for phase in phases]
    roc_picture(folder / "roc_test.png", truth, probabilities, phases, areas)
    training_picture(folder / "training.png", pd.read_csv(CURVES), header["best_epoch"])


def _page(
    plots: Path,
    test: dict[str, ScoredVideo],
    metrics: dict[str, Any],
    phases: tuple[str, ...],
    header: dict[str, Any],
    about: list[tuple[str, str]],
) -> Page:
    fps = header["fps"]
    videos = list(test.values())
    truth, prediction, _ = _pooled(test)
    matrix = confusion(truth, prediction, len(phases))
    return Page(
        facts=about,
        parameters=parameters(),
        digest=digest(parameters()),
        untrained=untrained(read_header(BACKBONE)),
        skipped=list(read_skipped(FEATURES).itertuples(index=False, name=None)),
        unseen=[phases[i] for i in np.unique(truth) if phases[i] not in header["classes_seen"]],
        metrics=metrics,
        phases=phases,
        fps=fps,
        ribbons=worst_first([ribbon_of(n, v, fps, len(phases)) for n, v in test.items()]),
        matrix=matrix,
        pairs=confused_pairs(matrix, CONFUSED_PAIRS),
        near=near_transitions(videos, fps, NEAR_S),
        runs=[(run, thumbnails(run)) for run in worst_runs(test, WORST_RUNS)],
        boundaries=boundaries_by_phase([(v.truth, v.prediction) for v in videos], phases, fps),
        pictures={
            "training": plots / "training.png",
            "reliability": plots / "reliability_test.png",
            "roc": plots / "roc_test.png",
        },
    )


def _pooled(
    videos: Mapping[str, ScoredVideo],
) -> tuple[Labels, Labels, Probabilities]:
    """Truth, prediction and probabilities of the labelled frames of all videos."""
    return (
        np.concatenate([v.truth[v.labelled] for v in videos.values()]),
        np.concatenate([v.prediction[v.labelled] for v in videos.values()]),
        np.concatenate([v.known_probabilities[v.labelled] for v in videos.values()]),
    )
