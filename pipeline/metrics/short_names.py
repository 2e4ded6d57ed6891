"""Short names of the metrics that commands take: `macro_f1` for frame.f1.per_phase_mean."""

from pipeline.metrics.table import METRICS

SHORT_NAMES = {
    "accuracy": "frame.accuracy.mean",
    "macro_f1": "frame.f1.per_phase_mean",
    "jaccard": "frame.jaccard.per_phase_mean",
    "edit": "segment.edit.mean",
    "f1_10": "segment.f1_10.pooled",
    "f1_25": "segment.f1_25.pooled",
    "f1_50": "segment.f1_50.pooled",
}


def full_key(name: str) -> str:
    """The dotted key of a short name; any other name is a key already."""
    return SHORT_NAMES.get(name, name)


def rises(key: str) -> bool:
    """Whether higher values are better, as for every metric that the table does not know.

    Args:
        key: Dotted, with or without the split in front.
    """
    bare = key.removeprefix("val.").removeprefix("test.")
    return all(metric.better == "higher" for metric in METRICS if metric.key == bare)
