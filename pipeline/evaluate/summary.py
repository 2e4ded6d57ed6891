"""All metrics of a split as nested scalars: what goes into reports/metrics.json."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.evaluate.frame_metrics import aggregates, confusion, f1_of_means, nan_std, scores
from pipeline.evaluate.relaxed_metrics import (
    Mode,
    relaxed_difference,
    relaxed_scores,
    relaxed_summary,
    rule_for,
)
from pipeline.evaluate.segment_metrics import edit_score, match_runs, pooled_f1
from pipeline.segments import Labels

Videos = Mapping[str, tuple[Labels, Labels]]
_MODES: tuple[Mode, ...] = ("official", "corrected")


def summarise(
    videos: Videos, phases: Sequence[str], label_fps: float, relaxed_seconds: float
) -> dict[str, Any]:
    """Every metric of a split.

    Args:
        videos: Truth and prediction, each (T,) classes, -1 in the truth where unlabelled. Frames
            without a label take part in no metric.
        phases: Names in class order.
        label_fps: Frames per second of the sequences.
        relaxed_seconds: Tolerance of the relaxed metrics.

    Returns:
        Groups frame, segment, phase.<name>, relaxed (where the phase order has that rule), and
        the numbers of videos and frames. Fractions, rounded to 6 digits; None where undefined.
    """
    pairs = [
        (truth[truth >= 0], prediction[truth >= 0])
        for truth, prediction in videos.values()
        if (truth >= 0).any()
    ]
    if not pairs:
        return {"videos": 0, "frames": 0}
    result: dict[str, Any] = {
        "videos": len(pairs),
        "frames": sum(len(truth) for truth, _ in pairs),
        **_frame(pairs, phases),
        "segment": _segment(pairs),
    }
    rule = rule_for(phases)
    if rule is not None:
        tolerance = round(relaxed_seconds * label_fps)
        result["relaxed"] = {
            mode: relaxed_summary(
                [
                    relaxed_scores(
                        g, p, relaxed_difference(g, p, rule, tolerance, mode), len(phases)
                    )
                    for g, p in pairs
                ]
            )
            for mode in _MODES
        }
    rounded: dict[str, Any] = _plain(result)
    return rounded


def _frame(pairs: list[tuple[Labels, Labels]], phases: Sequence[str]) -> dict[str, Any]:
    matrices = np.stack([confusion(g, p, len(phases)) for g, p in pairs])
    cells, pooled = scores(matrices), scores(matrices.sum(axis=0))
    accuracy = np.array([np.mean(g == p) for g, p in pairs])
    total = matrices.sum(axis=0)
    frame: dict[str, Any] = {
        "accuracy": {
            "mean": float(accuracy.mean()),
            "std": nan_std(accuracy),
            "pooled": float(np.trace(total) / total.sum()),
        },
        "f1_of_means": f1_of_means(cells),
    }
    names = ("precision", "recall", "jaccard", "f1")
    for name in names:
        frame[name] = aggregates(getattr(cells, name), getattr(pooled, name))
    phase = {
        label: {name: float(getattr(pooled, name)[i]) for name in names}
        | {"frames": int(total[i].sum())}
        for i, label in enumerate(phases)
    }
    return {"frame": frame, "phase": phase}


def _segment(pairs: list[tuple[Labels, Labels]]) -> dict[str, Any]:
    result: dict[str, Any] = {"edit": float(np.mean([edit_score(g, p) for g, p in pairs]))}
    for percent in (10, 25, 50):
        matches = [match_runs(g, p, percent / 100) for g, p in pairs]
        result[f"f1_{percent}"] = {
            "pooled": pooled_f1(matches),
            "per_video": float(np.mean([match.f1 for match in matches])),
        }
    return result


def _plain(node: Any) -> Any:
    """Rounded to 6 digits, and None for NaN, which JSON does not know."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, float):
        return None if math.isnan(node) else round(node, 6)
    return node
