"""Metrics of tasks with one label per video, such as the surgeon's skill: two or more classes.

accuracy, balanced accuracy, F1, ROC AUC and average precision as scikit-learn defines them, with
bootstrap intervals over videos, and summaries over surgeons: videos of one surgeon are not
independent, so a model is tried on surgeons that training never saw (leave one surgeon out).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.bootstrap import draw_videos, every_video_once, interval
from pipeline.metrics.frame import confusion, nan_mean, nan_std, scores, summed
from pipeline.metrics.keys import interval_keys, nested
from pipeline.metrics.ranking import ranking_in_draws
from pipeline.metrics.table import Metric
from pipeline.metrics.video_scores import quadratic_kappa, spearman_in_draws
from pipeline.segments import Labels

Floats = NDArray[np.float64]

VIDEO_METRICS: tuple[Metric, ...] = (
    Metric("accuracy.value", "Accuracy", "Share of videos with the right class.", kept="interval"),
    Metric(
        "balanced_accuracy.value",
        "Balanced accuracy",
        "Mean recall over the classes.",
        kept="value",
    ),
    Metric("f1.value", "F1, mean over classes", "Mean F1 over the classes.", kept="interval"),
    Metric("f1_positive.value", "F1 of the second class", "Of two classes, F1 of the second one."),
    Metric(
        "roc_auc.value",
        "ROC AUC",
        "Of the second class for two, else the mean over one class against the rest.",
        unit="ratio",
        digits=3,
        kept="value",
    ),
    Metric(
        "average_precision.value",
        "Average precision",
        "Of the second class for two, else the mean over one class against the rest.",
        unit="ratio",
        digits=3,
    ),
    Metric(
        "spearman.value",
        "Spearman's rho",
        "Rank correlation of truth and prediction, for ordered classes of truth and expected class "
        "(the mean of the class numbers, weighted by their probabilities).",
        unit="ratio",
        digits=3,
        kept="interval",
    ),
    Metric(
        "kappa.value",
        "Quadratic weighted kappa",
        "Agreement of ordered classes beyond chance; an error counts by its distance squared.",
        unit="ratio",
        digits=3,
        kept="value",
    ),
    Metric(
        "mae.value",
        "Mean absolute error",
        "Of a score, in its own unit.",
        unit="ratio",
        better="lower",
        digits=2,
        kept="interval",
    ),
    Metric(
        "rmse.value",
        "Root mean squared error",
        "Of a score, in its own unit; large errors weigh more.",
        unit="ratio",
        better="lower",
        digits=2,
        kept="value",
    ),
    Metric("surgeons.accuracy.mean", "Accuracy over surgeons", "Mean of each surgeon's accuracy."),
)
"""The table of these metrics, apart from table.py, which is for one label per frame."""


def summarise_videos(
    truth: Labels,
    prediction: Labels,
    probabilities: Floats | None,
    classes: Sequence[str],
    surgeons: Sequence[str] | None,
    num_draws: int,
    is_ordered: bool = False,
) -> dict[str, Any]:
    """Every metric of a task with one label per video.

    Args:
        truth: (V,) classes.
        prediction: (V,) classes.
        probabilities: (V, C), rows sum to 1; None: no ROC AUC and average precision.
        classes: C names; of two, the second one is the positive one.
        surgeons: (V,) who operated; None: no accuracy by surgeon.
        num_draws: Of the bootstrap over videos; 0 leaves the intervals out.
        is_ordered: Whether the order of the classes means something.

    Returns:
        accuracy, balanced_accuracy, f1 (macro), f1_positive (two classes only), roc_auc and
        average_precision (of the positive class for two, else macro over one against the rest),
        of ordered classes spearman and kappa, each with value, ci_low and ci_high;
        confusion.<true>.<predicted> in videos; and surgeons.accuracy with mean and std (ddof = 1)
        over surgeons, lowest and highest, and accuracy and videos of each. Fractions; None where
        undefined.
    """
    one_hot = np.eye(len(classes), dtype=np.int64)
    matrices = one_hot[truth][:, :, None] * one_hot[prediction][:, None, :]  # (V, C, C)
    flat: dict[str, Any] = {"videos": len(truth)}

    def add(name: str, figure: Callable[[Floats], Floats]) -> None:
        flat[f"{name}.value"] = float(figure(every_video_once(len(truth)))[0])
        if num_draws and len(truth) > 1:
            ends = interval(figure(draw_videos(len(truth), num_draws)))
            flat.update(zip(interval_keys(f"{name}.value"), ends, strict=True))

    def total(draws: Floats) -> Floats:
        return summed(matrices, draws)

    add("accuracy", lambda draws: np.trace(total(draws), axis1=1, axis2=2) / draws.sum(axis=1))
    # Balanced accuracy is the mean recall over the classes that are there.
    add("balanced_accuracy", lambda draws: nan_mean(scores(total(draws)).recall, 1))
    add("f1", lambda draws: nan_mean(scores(total(draws)).f1, 1))
    if len(classes) == 2:
        add("f1_positive", lambda draws: scores(total(draws)).f1[:, 1])
    if probabilities is not None:
        known = probabilities
        add("roc_auc", lambda draws: _one_against_the_rest(truth, known, draws)[0])
        add("average_precision", lambda draws: _one_against_the_rest(truth, known, draws)[1])
    if is_ordered:
        expected = (
            prediction.astype(np.float64)
            if probabilities is None
            else probabilities @ np.arange(len(classes))
        )
        add("spearman", lambda draws: spearman_in_draws(truth.astype(float), expected, draws))
        add("kappa", lambda draws: quadratic_kappa(total(draws)))
    result = nested(flat)
    counts = confusion(truth, prediction, len(classes))
    result["confusion"] = {
        true: {found: int(counts[i, j]) for j, found in enumerate(classes)}
        for i, true in enumerate(classes)
    }
    if surgeons is not None:
        result["surgeons"] = _by_surgeon(truth == prediction, surgeons)
    return result


def _one_against_the_rest(truth: Labels, probabilities: Floats, draws: Floats) -> Floats:
    """AUC and average precision (2, B): of two classes for the second, else macro."""
    columns = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    each = [ranking_in_draws(truth == c, probabilities[:, c], draws) for c in columns]
    return nan_mean(np.array(each), 0)


def _by_surgeon(right: NDArray[np.bool_], surgeons: Sequence[str]) -> dict[str, Any]:
    names = np.array(surgeons, dtype=str)
    each = {name: right[names == name] for name in sorted(set(names.tolist()))}
    accuracy = np.array([np.mean(found) for found in each.values()])
    deviation = nan_std(accuracy)
    return {
        "accuracy": {
            "mean": round(float(accuracy.mean()), 6),
            "std": None if np.isnan(deviation) else round(deviation, 6),
            "lowest": round(float(accuracy.min()), 6),
            "highest": round(float(accuracy.max()), 6),
        },
        "each": {
            name: {"accuracy": round(float(np.mean(found)), 6), "videos": len(found)}
            for name, found in each.items()
        },
    }


def leave_one_surgeon_out(surgeons: Sequence[str]) -> list[tuple[str, NDArray[np.int64]]]:
    """The folds in which each surgeon's videos are the test set: name and rows of the videos.

    Raises:
        ValueError: There are fewer than two surgeons, so that nothing is left to train on.
    """
    names = np.array(surgeons, dtype=str)
    different = sorted(set(names.tolist()))
    if len(different) < 2:
        raise ValueError(f"one surgeon alone cannot be left out; found: {', '.join(different)}")
    return [(name, np.flatnonzero(names == name).astype(np.int64)) for name in different]
