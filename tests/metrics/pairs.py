"""What the tests of metrics share: the summary of pairs of truth and prediction."""

from pipeline.metrics.relaxed import relaxed_difference, relaxed_scores, rule_for
from pipeline.metrics.summary import summarise
from pipeline.phases import CHOLEC80
from pipeline.scored_video import ScoredVideo

RULE = rule_for(CHOLEC80)


def summary_of(videos, classes=CHOLEC80, draws=0):
    """Of pairs of truth and prediction, at 1 fps."""
    return summarise(
        {name: ScoredVideo(g, p) for name, (g, p) in videos.items()}, classes, 1.0, 10, draws
    )


def relaxed(videos, mode):
    return [relaxed_scores(g, p, relaxed_difference(g, p, RULE, 10, mode), 7) for g, p in videos]
