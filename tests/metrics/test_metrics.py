"""Metrics against worked examples, slow second versions, and properties."""

import doctest
import json
from pathlib import Path

import numpy as np
import pytest
from pairs import RULE, relaxed, summary_of
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from pipeline.metrics.bootstrap import every_video_once
from pipeline.metrics.frame import confusion, frame_figures, nan_mean, scores
from pipeline.metrics.relaxed import per_class, relaxed_difference, rule_for
from pipeline.metrics.segment import edit_score, match_runs
from pipeline.phases import CHOLEC80, M2CAI16
from pipeline.segments import segments

GENERATOR = np.random.default_rng(5)


def two_phases(switch):
    truth = np.repeat([0, 1], 60)
    return truth, np.repeat([0, 1], [switch, 120 - switch])


def test_golden_a_late_switch_is_forgiven():
    g, p = two_phases(65)
    found = relaxed([(g, p)], "official")[0]
    assert found.accuracy == 1
    assert np.minimum(found.jaccard[:2], 1).tolist() == [1, 1]


def test_golden_an_early_switch_meets_the_bug_of_the_script():
    g, p = two_phases(55)
    found = relaxed([(g, p)], "official")[0]
    assert round(100 * found.accuracy, 3) == 95.833
    assert round(100 * found.jaccard[0], 2) == 91.67
    assert round(100 * found.jaccard[1], 2) == 92.31
    assert relaxed([(g, p)], "corrected")[0].accuracy == 1


def test_golden_a_short_phase_that_was_never_predicted():
    g = np.repeat([0, 1], [60, 8])
    found = relaxed([(g, np.zeros(68, dtype=np.int64))], "official")[0]
    assert found.accuracy == found.jaccard[1] == found.recall[1] == 1
    assert np.isinf(found.precision[1])
    assert per_class([found], every_video_once(1))["precision"][0, 1] == 1


def test_m2cai16_has_its_special_phases_one_later():
    shifted = rule_for(M2CAI16)
    assert {c - 1 for c in shifted.late} == set(RULE.late)
    assert {c - 1 for c in shifted.early} == set(RULE.early)
    assert rule_for(tuple(reversed(CHOLEC80))) is None


def random_video(phases=7, runs=12):
    truth = np.repeat(GENERATOR.integers(0, phases, runs), GENERATOR.integers(1, 40, runs))
    prediction = np.roll(truth, int(GENERATOR.integers(-12, 12)))
    noise = GENERATOR.random(len(truth)) < 0.1
    return truth, np.where(noise, GENERATOR.integers(0, phases, len(truth)), prediction)


def slow_relaxed(truth, prediction, t, mode):
    """The rule frame by frame, from its text."""
    correct = [int(p) == int(g) for g, p in zip(truth, prediction, strict=True)]
    found = segments(truth)
    for phase, start, end in zip(found.label + 1, found.start, found.end, strict=True):
        size = min(t, end - start)
        for i in range(size):
            d = prediction[start + i] - truth[start + i]
            if d == -1 or (phase in (6, 7) and d == -2):
                correct[start + i] = True
            last = end - size + i
            d = prediction[last] - truth[last]
            if d == 1 or (phase in (4, 5, 6, 7) and d == 2):
                correct[start + i if mode == "official" else last] = True
    return correct


@pytest.mark.parametrize("mode", ["official", "corrected"])
def test_the_relaxed_rule_agrees_with_its_text_frame_by_frame(mode):
    for _ in range(40):
        g, p = random_video()
        fast = relaxed_difference(g, p, RULE, 10, mode) == 0
        assert fast.tolist() == slow_relaxed(g, p, 10, mode)


def slow_f1(truth, prediction, overlap):
    g, p = segments(truth), segments(prediction)
    taken, tp, fp = set(), 0, 0
    for label, start, end in zip(p.label, p.start, p.end, strict=True):
        best, place = -1.0, -1
        for i, (other, first, last) in enumerate(zip(g.label, g.start, g.end, strict=True)):
            frames = set(range(start, end)), set(range(first, last))
            iou = len(frames[0] & frames[1]) / len(frames[0] | frames[1])
            if (iou if label == other else 0.0) > best:
                best, place = (iou if label == other else 0.0), i
        if best >= overlap and place not in taken:
            tp += 1
            taken.add(place)
        else:
            fp += 1
    return 2 * tp / (2 * tp + fp + len(g) - len(taken))


def test_f1_at_k_agrees_with_a_slow_version():
    for _ in range(20):
        g, p = random_video(phases=4, runs=6)
        for overlap in (0.1, 0.25, 0.5):
            assert match_runs(g, p, overlap).f1 == pytest.approx(slow_f1(g, p, overlap))


def slow_edit(a, b):
    table = np.zeros((len(a) + 1, len(b) + 1))
    table[:, 0], table[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
    for i in range(len(a)):
        for j in range(len(b)):
            table[i + 1, j + 1] = min(
                table[i, j + 1] + 1, table[i + 1, j] + 1, table[i, j] + (a[i] != b[j])
            )
    return table[-1, -1]


def test_the_edit_score_agrees_with_the_textbook_table():
    for _ in range(20):
        g, p = random_video(phases=4, runs=9)
        a, b = segments(p).label, segments(g).label
        assert edit_score(g, p) == pytest.approx(1 - slow_edit(a, b) / max(len(a), len(b)))


def test_pooled_scores_are_those_of_scikit_learn():
    g, p = random_video()
    found = scores(confusion(g, p, 7))
    for name, reference in (
        ("precision", precision_score),
        ("recall", recall_score),
        ("jaccard", jaccard_score),
        ("f1", f1_score),
    ):
        expected = reference(g, p, labels=range(7), average=None, zero_division=0)
        np.testing.assert_allclose(np.nan_to_num(getattr(found, name)), expected)


def test_a_hallucinated_phase_scores_zero_and_an_absent_one_nothing():
    found = scores(confusion(np.array([0, 0]), np.array([0, 1]), 3))
    np.testing.assert_array_equal(found.f1, [2 / 3, 0, np.nan])
    np.testing.assert_array_equal(found.precision, [1, 0, np.nan])
    np.testing.assert_array_equal(found.recall, [0.5, np.nan, np.nan])


def test_means_over_cells_phases_and_videos_differ_and_are_named():
    # Recall: 1 and undefined in the first video, 0.5 and 0 in the second one.
    matrices = np.array([[[4, 0], [0, 0]], [[2, 2], [4, 0]]])
    found = {k: v[0] for k, v in frame_figures(matrices, every_video_once(2)).items()}
    assert found["frame.recall.mean"] == pytest.approx(0.5)
    assert found["frame.recall.per_phase_mean"] == pytest.approx((0.75 + 0.0) / 2)
    assert found["frame.recall.per_video_mean"] == pytest.approx((1.0 + 0.25) / 2)
    assert found["frame.recall.pooled"] == pytest.approx((6 / 8 + 0) / 2)
    assert found["frame.accuracy.mean"] == pytest.approx((1 + 0.25) / 2)
    assert found["frame.accuracy.pooled"] == pytest.approx(6 / 12)
    assert np.isnan(nan_mean(np.array([np.nan]), 0))


def leaves(node, key=""):
    if isinstance(node, dict):
        for name, value in node.items():
            yield from leaves(value, f"{key}.{name}")
    else:
        yield key, node


def test_a_perfect_prediction_scores_one_everywhere():
    videos = {str(i): (g, g) for i, (g, _) in enumerate(random_video() for _ in range(3))}
    summary = summary_of(videos, draws=50)
    for group in ("frame", "segment", "relaxed", "phase"):
        for key, value in leaves(summary[group], group):
            if key.endswith(("frames", "seconds")) or value is None:
                continue
            assert value == (0 if key.endswith("std") else 1), key
    assert summary["boundary"]["median_s"] == summary["boundary"]["missed"] == 0
    assert summary["boundary"]["within_5_s"] == 1


def test_renaming_phases_leaves_strict_and_segmental_figures_alone():
    names = [f"p{i}" for i in range(7)]
    videos = {str(i): random_video() for i in range(4)}
    order = GENERATOR.permutation(7)
    renamed = {video: (order[g], order[p]) for video, (g, p) in videos.items()}
    one, two = (summary_of(v, names, draws=50) for v in (videos, renamed))
    assert one["segment"] == two["segment"]
    assert one["boundary"] == two["boundary"]
    flat = (np.array([v for _, v in leaves(summary["frame"])]) for summary in (one, two))
    np.testing.assert_allclose(*flat, atol=2e-6)
    moved = [one["phase"][names[i]]["f1"] for i in range(7)]
    np.testing.assert_allclose(moved, [two["phase"][names[order[i]]]["f1"] for i in range(7)])
    assert "relaxed" not in one


def test_corrected_accuracy_is_never_below_strict_and_equals_official_without_early_ones():
    for _ in range(20):
        g, p = random_video()
        strict = np.mean(g == p)
        assert relaxed([(g, p)], "corrected")[0].accuracy >= strict
    g, p = two_phases(70)
    for a, b in zip(relaxed([(g, p)], "official"), relaxed([(g, p)], "corrected"), strict=True):
        assert a.accuracy == b.accuracy


def test_unlabelled_frames_take_part_in_nothing():
    g, p = random_video()
    gap = np.r_[np.full(30, -1), g, np.full(10, -1)]
    padded = np.r_[np.zeros(30, dtype=np.int64), p, np.full(10, 6)]
    names = [f"p{i}" for i in range(7)]
    assert summary_of({"v": (g, p)}, names) == summary_of({"v": (gap, padded)}, names)


def test_one_frame_one_phase_and_no_label_are_no_special_cases():
    one = np.zeros(1, dtype=np.int64)
    summary = summary_of({"v": (one, one)}, draws=50)
    assert summary["frame"]["accuracy"] == {"mean": 1.0, "std": None, "pooled": 1.0}
    assert summary["phase"]["CleaningCoagulation"]["f1"] is None
    assert summary_of({"v": (one - 1, one)}) == {"videos": 0, "frames": 0}
    json.dumps(summary, allow_nan=False)


def test_labels_outside_the_classes_are_refused():
    with pytest.raises(ValueError, match="labels from 0 to 7, allowed: 0 to 6"):
        confusion(np.array([0]), np.array([7]), 7)


def test_runs_and_frames_are_two_views_of_one_thing():
    g, _ = random_video()
    np.testing.assert_array_equal(segments(g).frames(), g)
    assert (np.diff(segments(g).label) != 0).all()


def test_the_worked_examples_of_the_documentation_are_true():
    page = Path(__file__).parents[2] / "docs/metrics.md"
    found = doctest.testfile(str(page), module_relative=False)
    assert found.attempted > 20 and found.failed == 0
