"""The evaluate stage for one answer per video: metrics, predictions, plots and the report."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline import paths
from pipeline.checkpoint import read_header
from pipeline.drawing.svg_ribbons import Ribbon, attention_ribbon
from pipeline.errors import PipelineError
from pipeline.evaluate.facts import measured_facts, untrained
from pipeline.evaluate.folds import (
    HeldOut,
    classes_seen,
    folds_of,
    parts_table,
    read_test_videos,
    seeds_of,
)
from pipeline.evaluate.metric_files import write_metrics
from pipeline.evaluate.parameters import shown_parameters
from pipeline.evaluate.params import EvaluateParams
from pipeline.evaluate.pictures import write_training_picture
from pipeline.evaluate.video_answers import (
    Answer,
    answer,
    classes_of,
    mean_answer,
    members_of,
    summarise_answers,
    told_by_length,
)
from pipeline.evaluate.video_page import VideoPage, write_video_page
from pipeline.metrics.headline import as_text, headline
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.sequences import Sequence as VideoSequence
from pipeline.sequences import read_split
from pipeline.settings import read_raw_section, read_value
from pipeline.tables import read_phases, read_skipped, write_table
from pipeline.task import TaskParams
from pipeline.video_targets import check_scores, read_column

SURGEON = "surgeon"
"""The column of videos.csv whose values are summarised by themselves, where it is there."""


def run_videos(
    network: TemporalModule,
    temporal: dict[str, Any],
    params: EvaluateParams,
    device: torch.device,
    reports: Path,
) -> str:
    """Predict the test videos (and val where there are), score them, write the report.

    Args:
        network: Trained for one answer per video.
        temporal: Header of its file.
        params: The section `evaluate`.
        device: Where to predict.
        reports: Folder of the report.

    Returns:
        The headline, a metric per line.

    Raises:
        PipelineError: No test video has a value, or features that do not belong to the model.
    """
    task = _task(temporal)
    column = read_column(str(task.target))
    tests = read_test_videos(temporal)
    fold_of = {test.video: test.fold for test in tests}
    sequences = {"test": [test.sequence for test in tests]}
    if None in fold_of.values():  # with folds, what validates one of them tests another
        sequences["val"] = read_split("val")
    known = {
        split: [video for video in videos if column.get(video.video)]
        for split, videos in sequences.items()
    }
    if not known["test"]:
        raise PipelineError(
            f"{paths.INDEX}/videos.csv: no readable test video has a value of {task.target}. Give "
            "it one, or test other videos (split in params.yaml)."
        )
    values = {s.video: column[s.video] for videos in known.values() for s in videos}
    if task.scale == "number":
        check_scores(str(task.target), values)
    classes = classes_of(temporal, list(values.values()))

    def answered(video: VideoSequence, seed: int | None = None) -> Answer:
        """By the networks that did not learn from it."""
        members = members_of(network, temporal, fold_of.get(video.video), seed)
        value = values[video.video]
        return mean_answer(
            [answer(own, header, video, value, classes, device) for own, header in members]
        )

    def summary(found: Sequence[Answer], num_draws: int) -> dict[str, Any]:
        ordinal = task.scale == "ordinal"
        return summarise_answers(found, classes, ordinal, _surgeons(found), num_draws)

    answers = {split: [answered(s) for s in videos] for split, videos in known.items() if videos}
    details = {split: summary(found, params.bootstrap) for split, found in answers.items()}
    parts = _parts(known["test"], answers["test"], fold_of, answered, summary, temporal)
    write_metrics(reports, details, parts)
    write_answers(reports / "predictions/videos.csv", answers["test"], classes)
    plots = reports / "plots"
    for split, found in answers.items():
        _write_plot(plots, split, found, classes)
    write_training_picture(plots, paths.TRAIN_REPORT / "history.csv", temporal)

    backbone = read_header(paths.BACKBONE)
    layout, split_section = read_value("data.layout", str), read_raw_section("split")
    parameters = shown_parameters(backbone, temporal, params, layout, split_section)
    worst = sorted(answers["test"], key=lambda a: (-a.wrongness, a.video))
    page = VideoPage(
        target=str(task.target),
        facts=_facts(
            next(t for t in tests if t.video in values), network, backbone, temporal, parameters
        ),
        parameters=parameters,
        untrained=untrained(backbone),
        skipped=list(read_skipped(paths.FEATURES).itertuples(index=False, name=None)),
        left_out=[s.video for s in sequences["test"] if not column.get(s.video)],
        unseen=_unseen(answers["test"], fold_of, classes, temporal),
        by_length=told_by_length(answers["test"], classes, task.scale == "ordinal"),
        details=details["test"],
        parts=[parts_table(of.removesuffix("s"), found) for of, found in parts.items()],
        classes=classes,
        answers=worst,
        phases=read_phases(),
        ribbons=_ribbons(worst, known["test"]) if task.pooling == "attention" else [],
        training=plots / "training.png",
    )
    write_video_page(page, reports / "index.html")
    return as_text(headline(details["test"]))


def _parts(
    videos: Sequence[VideoSequence],
    answers: Sequence[Answer],
    fold_of: Mapping[str, int | None],
    answered: Callable[[VideoSequence, int], Answer],
    summary: Callable[[Sequence[Answer], int], dict[str, Any]],
    temporal: Mapping[str, Any],
) -> dict[str, dict[str, Any]]:
    """Metrics of the test videos by fold and by seed, where there are several."""
    parts: dict[str, dict[str, Any]] = {}
    folds, seeds = folds_of(temporal), seeds_of(temporal)
    if len(folds) > 1:
        by_fold = {fold: [a for a in answers if fold_of[a.video] == fold] for fold in folds}
        parts["folds"] = {str(fold): summary(own, 0) for fold, own in by_fold.items() if own}
    if len(seeds) > 1:
        parts["seeds"] = {
            str(seed): summary([answered(video, seed) for video in videos], 0) for seed in seeds
        }
    return parts


def write_answers(path: Path, answers: Sequence[Answer], classes: Sequence[str]) -> None:
    """Write `video, truth, prediction, p_<class>...`, in the order of splits.csv."""
    names = np.array(classes)
    truth, prediction = (
        np.array([getattr(a, which) for a in answers]) for which in ("truth", "prediction")
    )
    columns: dict[str, Any] = {"video": [a.video for a in answers]}
    if classes:
        columns |= {"truth": names[truth.astype(int)], "prediction": names[prediction.astype(int)]}
        chances = np.array([a.probabilities for a in answers], dtype=np.float64)
        columns |= {f"p_{name}": chances[:, i] for i, name in enumerate(classes)}
    else:
        columns |= {"truth": truth, "prediction": prediction}
    write_table(pd.DataFrame(columns), path)


def _write_plot(
    folder: Path, split: str, answers: Sequence[Answer], classes: Sequence[str]
) -> None:
    """The confusion of classes for `dvc plots`, or true and predicted scores."""
    if classes:
        pairs = [(classes[int(a.truth)], classes[int(a.prediction)]) for a in answers]
        table = pd.DataFrame(pairs, columns=["actual", "predicted"])
        write_table(table, folder / f"confusion_{split}.csv")
    else:
        scores = [(a.video, a.truth, a.prediction) for a in answers]
        table = pd.DataFrame(scores, columns=["video", "truth", "prediction"])
        write_table(table, folder / f"scores_{split}.csv")


def _unseen(
    answers: Sequence[Answer],
    fold_of: Mapping[str, int | None],
    classes: Sequence[str],
    temporal: Mapping[str, Any],
) -> list[str]:
    """Classes of videos whose networks had no training video of that class; none for a score."""
    if not classes:
        return []
    unseen = {
        classes[int(a.truth)]
        for a in answers
        if classes[int(a.truth)] not in classes_seen(temporal, fold_of[a.video])
    }
    return [name for name in classes if name in unseen]


def _task(temporal: Mapping[str, Any]) -> TaskParams:
    said = {name: v for name, v in temporal["task"].items() if name in TaskParams.model_fields}
    return TaskParams.model_validate(said)


def _surgeons(answers: Sequence[Answer]) -> list[str] | None:
    try:
        column = read_column(SURGEON)
    except PipelineError:
        return None
    return [column.get(a.video, "") for a in answers]


def _facts(
    test: HeldOut,
    network: TemporalModule,
    backbone: Mapping[str, Any],
    temporal: Mapping[str, Any],
    parameters: Mapping[str, str],
) -> list[tuple[str, str]]:
    rows = measured_facts(test.features, network, backbone, temporal, parameters)
    task = _task(temporal)
    target = f"{task.target}, {task.scale}; frames pooled by {task.pooling}"
    if temporal["classes"]:
        target += f"; classes {', '.join(temporal['classes'])}"
    return [("Target", target) if name == "Phases" else (name, text) for name, text in rows]


def _ribbons(answers: Sequence[Answer], sequences: Sequence[VideoSequence]) -> list[Ribbon]:
    by_name = {s.video: s for s in sequences}
    num_phases = len(read_phases())
    return [
        attention_ribbon(
            a.video, by_name[a.video].labels, a.attention, by_name[a.video].fps, num_phases
        )
        for a in answers
    ]
