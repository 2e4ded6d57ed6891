"""The report of a data set of single images: no time, so neither ribbons nor transitions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pipeline import paths
from pipeline.checkpoint import read_header
from pipeline.drawing.bars import score_bars
from pipeline.drawing.confidence import reliability_picture, roc_picture
from pipeline.drawing.confusion import confusion_picture
from pipeline.errors import PipelineError
from pipeline.evaluate.error_analysis import confused_pairs
from pipeline.evaluate.facts import measured_facts, untrained
from pipeline.evaluate.image_page import ImagePage, WorstImage, write_image_page
from pipeline.evaluate.metric_files import write_json
from pipeline.evaluate.parameters import shown_parameters
from pipeline.evaluate.params import EvaluateParams
from pipeline.evaluate.pictures import write_training_picture
from pipeline.evaluate.plots import (
    write_confusion,
    write_phase_scores,
    write_reliability,
    write_ribbons,
)
from pipeline.evaluate.predict import predict
from pipeline.evaluate.thumbnails import Thumbnail, thumbnail
from pipeline.feature_store import read_attributes
from pipeline.frame_store import FrameFile
from pipeline.image_tables import read_images
from pipeline.metrics.calibration import reliability
from pipeline.metrics.frame import confusion
from pipeline.metrics.headline import as_text, lines_of
from pipeline.metrics.image_level import IMAGE_METRICS, compared_image_values, summarise_images
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.scored_video import Probabilities, ScoredVideo
from pipeline.segments import Labels
from pipeline.sequences import read_split
from pipeline.settings import read_raw_section, read_value
from pipeline.tables import read_skipped, write_table

WORST_IMAGES = 18
CONFUSED_PAIRS = 6


@dataclass(frozen=True)
class ScoredImages:
    """The images of a split.

    Attributes:
        names: (N,) identifiers.
        containers: (N,) which container holds each.
        samples: (N,) which of its samples each is.
        truth: (N,) classes.
        probabilities: (N, C), rows sum to 1.
    """

    names: Sequence[str]
    containers: Sequence[str]
    samples: NDArray[np.int64]
    truth: Labels
    probabilities: Probabilities

    @property
    def prediction(self) -> Labels:
        """(N,) classes."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def as_video(self) -> ScoredVideo:
        """All of them one after the other, for what draws frames of videos."""
        return ScoredVideo(self.truth, self.prediction, self.probabilities)


def report_images(
    reports: Path,
    params: EvaluateParams,
    network: TemporalModule,
    temporal: dict[str, Any],
    classes: tuple[str, ...],
    device: torch.device,
) -> str:
    """Predict the test images (and val where there are), score them, write the report.

    Returns:
        The headline, a metric per line.

    Raises:
        PipelineError: No test image, or features that do not belong to the model.
    """
    scored = {}
    for split in ("val", "test"):
        found = _scored(split, network, temporal, device)
        if found is not None:
            scored[split] = found
    if "test" not in scored:
        raise PipelineError(
            f"{paths.INDEX}/splits.csv: test has no readable image. Give it one (split in "
            "params.yaml)."
        )
    details: dict[str, dict[str, Any]] = {
        split: summarise_images(s.truth, s.probabilities, classes, params.bootstrap)
        for split, s in scored.items()
    }
    write_json(reports / "details.json", details)
    kept = {split: compared_image_values(found) for split, found in details.items()}
    write_json(reports / "metrics.json", kept)
    test = scored["test"]
    _write_predictions(reports / "predictions" / "images.csv", test, classes)
    plots = reports / "plots"
    _write_plots(plots, scored, details, classes)
    write_training_picture(plots, paths.TRAIN_REPORT / "history.csv", temporal)
    backbone = read_header(paths.BACKBONE)
    parameters = shown_parameters(
        backbone,
        temporal,
        params,
        read_value("data.layout", str),
        read_raw_section("split"),
    )
    matrix = confusion(test.truth, test.prediction, len(classes))
    page = ImagePage(
        facts=_facts(test, network, backbone, temporal, parameters),
        parameters=parameters,
        untrained=untrained(backbone),
        skipped=list(read_skipped(paths.FEATURES).itertuples(index=False, name=None)),
        unseen=[
            c
            for i, c in enumerate(classes)
            if matrix[i].any() and c not in temporal["classes_seen"]
        ],
        details=details["test"],
        classes=classes,
        matrix=matrix,
        pairs=confused_pairs(matrix, CONFUSED_PAIRS),
        worst=_worst(test),
        pictures={
            "training": plots / "training.png",
            "reliability": plots / "reliability_test.png",
            "roc": plots / "roc_test.png",
        },
    )
    write_image_page(page, reports / "index.html")
    return as_text(lines_of(IMAGE_METRICS, details["test"]))


def _scored(
    split: str, network: TemporalModule, temporal: dict[str, Any], device: torch.device
) -> ScoredImages | None:
    """The images of a split; None where it has none."""
    sequences = read_split(split)
    if not sequences:
        return None
    names = read_images().set_index(["video", "sample"])["image"]
    # An image is shown for a second, so that its time is its place in the container.
    samples = [s.time_s.astype(np.int64) for s in sequences]
    containers = [s.video for s in sequences for _ in range(len(s))]
    predicted = [predict(network, temporal, s, device) for s in sequences]
    rows = zip(containers, np.concatenate(samples).tolist(), strict=True)
    return ScoredImages(
        names=[str(names[row]) for row in rows],
        containers=containers,
        samples=np.concatenate(samples),
        truth=np.concatenate([found.truth for found in predicted]),
        probabilities=np.concatenate([found.known_probabilities for found in predicted]),
    )


def _write_predictions(path: Path, scored: ScoredImages, classes: Sequence[str]) -> None:
    """`img_id, true_label, predicted_label, p_<class>...`, one row per image, by identifier."""
    names = np.array(classes)
    columns: dict[str, Any] = {
        "img_id": list(scored.names),
        "true_label": names[scored.truth],
        "predicted_label": names[scored.prediction],
    }
    for i, name in enumerate(classes):
        columns[f"p_{name}"] = scored.probabilities[:, i].astype(np.float64)
    write_table(pd.DataFrame(columns).sort_values("img_id"), path)


def _write_plots(
    folder: Path,
    scored: Mapping[str, ScoredImages],
    details: Mapping[str, Any],
    classes: Sequence[str],
) -> None:
    for split, found in scored.items():
        matrix = confusion(found.truth, found.prediction, len(classes))
        write_confusion(folder / f"confusion_{split}.csv", [found.as_video], classes)
        confusion_picture(folder / f"confusion_{split}.png", matrix, classes)
        write_phase_scores(folder / f"phases_{split}.csv", details[split]["phase"], classes)
        bins = reliability(found.truth, found.probabilities)
        write_reliability(folder / f"reliability_{split}.csv", bins)
    test, scores = scored["test"], details["test"]["phase"]
    write_ribbons(folder / "ribbons_test.csv", {}, 1.0, classes)  # `dvc plots` asks for it
    score_bars(folder / "phases_test.png", scores, classes)
    bins = reliability(test.truth, test.probabilities)
    reliability_picture(folder / "reliability_test.png", bins)
    areas = [scores[name]["roc_auc"] for name in classes]
    roc_picture(folder / "roc_test.png", test.truth, test.probabilities, classes, areas)


def _facts(
    test: ScoredImages,
    network: TemporalModule,
    backbone: Mapping[str, Any],
    temporal: Mapping[str, Any],
    parameters: Mapping[str, str],
) -> list[tuple[str, str]]:
    """What was run, without what is said of time."""
    features = paths.FEATURES / f"{test.containers[0]}.h5"
    said = dict(measured_facts(features, network, backbone, temporal, parameters))
    splits = read_images()["video"].str.rpartition("_")[0].value_counts()
    images = ", ".join(f"{splits.get(s, 0)} {s}" for s in ("train", "val", "test"))
    names = {"Phases": "Classes", "Temporal model": "Classifier"}
    said["Split"] = f"{parameters['split.scheme']}: {images} images"
    return [
        (names.get(name, name), text)
        for name, text in said.items()
        if name not in ("Frames", "Looks into the future")
    ]


def _worst(scored: ScoredImages) -> list[WorstImage]:
    """The errors of which the network was surest, the surest first."""
    confidence = scored.probabilities.max(axis=1)
    wrong = np.flatnonzero(scored.prediction != scored.truth)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")][:WORST_IMAGES]
    return [
        WorstImage(
            name=scored.names[row],
            truth=int(scored.truth[row]),
            prediction=int(scored.prediction[row]),
            confidence=float(confidence[row]),
            picture=_picture(scored.containers[row], int(scored.samples[row])),
        )
        for row in order.tolist()
    ]


def _picture(container: str, time_s: int) -> Thumbnail | None:
    """The image, where data/frames holds that which the features were made from."""
    made = read_attributes(paths.FEATURES / f"{container}.h5").get("frames_fingerprint")
    try:
        with FrameFile(paths.FRAMES / f"{container}.h5") as frames:
            if frames.attributes.get("fingerprint") != made:
                return None
            sample = int(np.searchsorted(frames.time_s, time_s))
            return thumbnail(frames.image(sample), float(time_s))
    except PipelineError:  # no container, or one that cannot be read
        return None
