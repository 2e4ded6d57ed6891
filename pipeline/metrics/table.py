"""The one table of metrics: what each is called, how it is written, and where it is shown.

The headline, the report page and its glossary, `compare`, `score` and docs/metrics.md take their
words from here. A new metric is computed in the file of its family and gets a row here.
"""

from dataclasses import dataclass
from typing import Literal

from pipeline.metrics.keys import deviation_key, interval_keys

Unit = Literal["%", "s", "ratio"]
Better = Literal["higher", "lower", "near 1"]


@dataclass(frozen=True)
class Metric:
    """One metric, or that of each phase alike, with NAME for the phase in its key.

    Attributes:
        key: Dotted, below `test` or `val` in reports/details.json.
        label: What people call it, unique in the table.
        meaning: One sentence; metrics with the same one share an entry of the glossary.
        unit: "%": a fraction of 0 to 1, written in percent; "s": seconds; "ratio": a plain number.
        better: Which values are better.
        digits: After the point.
        kept: Whether reports/metrics.json holds its value, or its interval too. These are the
            metrics in the headline.
        compared: Whether `compare` shows it.
        on_page: Whether the report page shows and explains it below its headline.
    """

    key: str
    label: str
    meaning: str
    unit: Unit = "%"
    better: Better = "higher"
    digits: int = 1
    kept: Literal["", "value", "interval"] = ""
    compared: bool = False
    on_page: bool = False

    @property
    def interval_keys(self) -> tuple[str, str]:
        """Keys of the 95 % interval's ends."""
        return interval_keys(self.key)

    @property
    def deviation_key(self) -> str:
        """Key of the standard deviation, where the metric has one."""
        return deviation_key(self.key)


_SCORES = {"f1": "F1", "jaccard": "Jaccard", "precision": "Precision", "recall": "Recall"}
_SCORE_MEANING = {
    "f1": "2 TP / (2 TP + FP + FN) of a phase",
    "jaccard": "TP / (TP + FP + FN) of a phase",
    "precision": "Of the frames predicted as a phase, the share that is that phase",
    "recall": "Of the frames of a phase, the share that was found",
}
_WHERE_UNDEFINED = "undefined cells left out, a hallucinated phase scores 0"
_AT_K = (
    "Predicted runs that overlap a true run of their phase by at least k % (intersection over "
    "union) are hits; {}."
)
_RELAXED = {
    "official": "as the published script computes it, with its bug, like all published numbers",
    "corrected": "as the text of the challenge says",
}
_RANKED = {"roc_auc": "ROC AUC", "average_precision": "Average precision"}
_RANKED_MEANING = (
    "How well a phase's probability ranks its frames before all others (chance is 0.5 for ROC AUC, "
    "the phase's share for average precision){}."
)

METRICS: tuple[Metric, ...] = (
    Metric(
        "frame.accuracy.mean",
        "Accuracy",
        "Share of labelled frames with the right phase, without any tolerance at transitions; "
        "mean ± standard deviation (ddof = 1) over videos.",
        kept="interval",
        compared=True,
    ),
    Metric(
        "frame.accuracy.pooled",
        "Accuracy, pooled frames",
        "Share of all labelled frames with the right phase: long operations weigh more.",
        compared=True,
    ),
    *(
        Metric(
            f"frame.{score}.per_phase_mean",
            f"{label}, mean over phases",
            f"{_SCORE_MEANING[score]}; mean over the videos for each phase, then over phases, ± "
            f"over phases ({_WHERE_UNDEFINED}).",
            kept={"f1": "interval", "jaccard": "value"}.get(score, ""),  # type: ignore[arg-type]
            compared=True,
        )
        for score, label in _SCORES.items()
    ),
    *(
        Metric(f"frame.{score}.{key}", f"{label}, {words}", f"{_SCORE_MEANING[score]}; {meaning}.")
        for key, words, meaning in (
            ("mean", "mean over cells", "mean over all (video, phase) cells"),
            ("per_video_mean", "mean over videos", "mean over each video's phases, then videos"),
            ("pooled", "pooled frames", "mean over the phases of the summed confusion matrix"),
        )
        for score, label in _SCORES.items()
    ),
    Metric(
        "frame.f1_of_means",
        "F1 of means",
        "Harmonic mean of mean precision and mean recall; not F1, only to match papers.",
    ),
    Metric(
        "segment.edit.mean",
        "Edit score",
        "1 minus the edit distance between the predicted and the true order of phases, divided by "
        "the longer one; low values mean flicker.",
        kept="value",
        compared=True,
    ),
    *(
        Metric(
            f"segment.f1_{k}.pooled",
            f"F1@{k}",
            _AT_K.format("counts pooled over videos (Farha and Gall)"),
            kept="value",
            compared=True,
        )
        for k in (10, 25, 50)
    ),
    *(
        Metric(
            f"segment.f1_{k}.per_video_mean",
            f"F1@{k}, mean over videos",
            _AT_K.format("mean of each video's F1 (Lea et al.)"),
        )
        for k in (10, 25, 50)
    ),
    Metric(
        "segment.over_segmentation.mean",
        "Over-segmentation",
        "Predicted runs / true runs, mean over videos; more than 1 is flicker.",
        unit="ratio",
        better="near 1",
        digits=2,
        compared=True,
        on_page=True,
    ),
    Metric(
        "boundary.median_s",
        "Median distance of transitions",
        "Median time from a true transition to the nearest predicted one into the same phase.",
        unit="s",
        better="lower",
        compared=True,
        on_page=True,
    ),
    *(
        Metric(
            f"boundary.within_{seconds}_s",
            f"Transitions within {seconds} s",
            "Share of true transitions with a predicted one into the same phase that near.",
            compared=seconds == 10,
            on_page=True,
        )
        for seconds in (5, 10, 30)
    ),
    Metric(
        "boundary.missed",
        "Transitions missed",
        "Share of true transitions into phases that the video's prediction never enters.",
        better="lower",
        on_page=True,
    ),
    Metric(
        "calibration.ece",
        "Expected calibration error",
        "Mean gap between confidence and the share predicted rightly, over 15 bins of confidence; "
        "at 0, a confidence of 80 % is right in 80 % of the frames.",
        better="lower",
        compared=True,
        on_page=True,
    ),
    *(
        Metric(
            f"calibration.{key}.{mean}",
            f"{label}, {mean}",
            _RANKED_MEANING.format(meaning),
            unit="ratio",
            digits=3,
            on_page=mean == "macro",
        )
        for mean, meaning in (("macro", "; mean over phases"), ("micro", "; all pairs at once"))
        for key, label in _RANKED.items()
    ),
    *(
        Metric(
            f"relaxed.{mode}.{score}.mean",
            f"Relaxed {label}, {mode}",
            "The challenge's metric, which forgives neighbouring phases for some seconds around a "
            f"transition; ± over videos for accuracy, else over phases; {_RELAXED[mode]}.",
            kept="value" if score in ("accuracy", "jaccard") else "",
            compared=score in ("accuracy", "jaccard"),
        )
        for mode in _RELAXED
        for score, label in (
            *(("accuracy", "accuracy"), ("jaccard", "Jaccard")),
            *(("precision", "precision"), ("recall", "recall")),
        )
    ),
    *(
        Metric(f"phase.NAME.{score}", label, f"{_SCORE_MEANING[score]}.", on_page=True)
        for score, label in _SCORES.items()
    ),
    *(
        Metric(
            f"phase.NAME.{key}",
            label,
            _RANKED_MEANING.format(""),
            unit="ratio",
            digits=3,
        )
        for key, label in _RANKED.items()
    ),
)

_BY_KEY = {metric.key: metric for metric in METRICS}


def metric(key: str) -> Metric:
    """The row of a key, also of a phase's: phase.Preparation.f1 is phase.NAME.f1.

    Raises:
        KeyError: The table has no such row.
    """
    if key.startswith("phase."):
        key = f"phase.NAME.{key.rpartition('.')[2]}"
    return _BY_KEY[key]
