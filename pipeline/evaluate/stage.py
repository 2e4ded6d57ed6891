"""The evaluate stage: the test videos' metrics, predictions, figures and the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.atomic import write_text
from pipeline.checkpoint import read_header
from pipeline.errors import PipelineError
from pipeline.evaluate.figures import confusion_picture, curves_picture, ribbon
from pipeline.evaluate.frame_metrics import confusion
from pipeline.evaluate.page import Page, headline, write_page
from pipeline.evaluate.params import EvaluateParams
from pipeline.evaluate.predict import Prediction, load_model, predict
from pipeline.evaluate.summary import summarise
from pipeline.runtime import read_runtime
from pipeline.sequences import FEATURES, read_split
from pipeline.settings import read_section
from pipeline.tables import read_phases, read_skipped, read_splits, write_table

BACKBONE = Path("models/backbone.safetensors")
TEMPORAL = Path("models/temporal.safetensors")
CURVES = Path("reports/train/history.csv")
REPORTS = Path("reports")


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
    gpu = runtime.device != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    network, header = load_model(TEMPORAL, device)
    phases = tuple(header["phases"])
    if phases != read_phases():
        raise PipelineError(
            f"{TEMPORAL}: trained on the phases {', '.join(phases)}, but data/index/phases.csv "
            f"holds {', '.join(read_phases())}. Run `dvc repro train`."
        )

    predictions = {}
    for split in ("val", "test"):
        predictions[split] = [
            predict(network, header, sequence, device) for sequence in read_split(split)
        ]
    test = predictions["test"]
    if not any((p.sequence.labels >= 0).any() for p in test):
        raise PipelineError("data/index/splits.csv: test has no readable video with labels.")
    metrics = {
        split: summarise(
            {p.sequence.video: (p.sequence.labels, p.labels) for p in found},
            phases,
            header["fps"],
            params.relaxed_seconds,
        )
        for split, found in predictions.items()
        if found
    }
    write_text(reports / "metrics.json", json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    for split, found in predictions.items():
        if found:
            _write_confusion(found, phases, split, reports / "plots")
    for prediction in test:
        _write_prediction(prediction, phases, reports / "predictions")
    history = pd.read_csv(CURVES)
    curves_picture(reports / "plots/curves.png", history, header["best_epoch"])
    write_page(
        Page(
            facts=_facts(header, params),
            untrained=read_header(BACKBONE)["weights"] == "random",
            metrics=metrics,
            phases=phases,
            ribbons=_ribbons(test, phases, reports / "plots/ribbons"),
            confusion=reports / "plots/confusion_test.png",
            curves=reports / "plots/curves.png",
            skipped=list(read_skipped(FEATURES).itertuples(index=False, name=None)),
            unseen=_unseen(test, phases, header["phases_seen"]),
        ),
        reports / "index.html",
    )
    return "\n".join(f"{name:<28} {value}" for name, value in headline(metrics))


def _write_confusion(
    found: list[Prediction], phases: tuple[str, ...], split: str, folder: Path
) -> None:
    """The picture, and one row per frame for DVC's template `confusion_normalized`."""
    truth = np.concatenate([p.sequence.labels for p in found])
    predicted = np.concatenate([p.labels for p in found])[truth >= 0]
    truth = truth[truth >= 0]
    names = np.array(phases)
    table = pd.DataFrame({"actual": names[truth], "predicted": names[predicted]})
    write_table(table, folder / f"confusion_{split}.csv")
    matrix = confusion(truth, predicted, len(phases))
    confusion_picture(folder / f"confusion_{split}.png", matrix, phases)


def _write_prediction(prediction: Prediction, phases: tuple[str, ...], folder: Path) -> None:
    sequence = prediction.sequence
    names = np.array([*phases, ""])  # the last one is for -1, unlabelled
    table = pd.DataFrame(
        {
            "time_s": sequence.time_s,
            "truth": names[sequence.labels],
            "prediction": names[prediction.labels],
        }
        | {
            f"p_{phase}": prediction.probabilities[:, i].astype(np.float64)
            for i, phase in enumerate(phases)
        }
    )
    write_table(table, folder / f"{sequence.video}.csv")


def _ribbons(
    test: list[Prediction], phases: tuple[str, ...], folder: Path
) -> list[tuple[str, Path]]:
    """A picture per video, from the lowest accuracy to the highest."""
    pictures = []
    for prediction in test:
        sequence = prediction.sequence
        labelled = sequence.labels >= 0
        right = prediction.labels[labelled] == sequence.labels[labelled]
        accuracy = float(np.mean(right)) if labelled.any() else 0.0
        path = folder / f"{sequence.video}.png"
        title = f"{sequence.video}, accuracy {100 * accuracy:.1f} %"
        ribbon(path, sequence.labels, prediction.labels, sequence.fps, phases, title)
        pictures.append((accuracy, sequence.video, path))
    return [(video, path) for _, video, path in sorted(pictures)]


def _unseen(test: list[Prediction], phases: tuple[str, ...], seen: list[str]) -> list[str]:
    present = np.unique(np.concatenate([p.sequence.labels for p in test]))
    return [phases[i] for i in present if i >= 0 and phases[i] not in seen]


def _facts(header: dict[str, Any], params: EvaluateParams) -> list[tuple[str, str]]:
    backbone = read_header(BACKBONE)
    counts = read_splits()["split"].value_counts()
    numbers = {k: v for k, v in header["numbers"].items() if k not in ("features", "phases")}
    weights = backbone["weights"]
    if "weights_sha256" in backbone:
        weights += f" (SHA-256 {backbone['weights_sha256'][:12]})"
    return [
        ("Videos", ", ".join(f"{counts.get(s, 0)} {s}" for s in ("train", "val", "test"))),
        ("Phases", ", ".join(header["phases"])),
        ("Frames", f"{header['fps']:g} per second of video"),
        ("Backbone", f"{backbone['name']}, weights {weights}"),
        ("Temporal model", f"{header['kind']}, {_listed(numbers)}"),
        ("Looks into the future", "no (causal)" if header["causal"] else "yes (offline)"),
        ("Training", f"{_listed(header['train'])}, seed {header['seed']}"),
        ("Weights kept", f"epoch {header['best_epoch']} of {header['epochs']}"),
        ("Evaluation", f"relaxed metrics with {params.relaxed_seconds:g} s, where defined"),
    ]


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {'none' if v is None else v}" for key, v in values.items())
