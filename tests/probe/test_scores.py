"""Linear probe and nearest neighbours on features in which phases are planted, or are not."""

from dataclasses import replace

import numpy as np
import pytest
from planted import sequence, videos

from pipeline.errors import PipelineError
from pipeline.feature_space.pool import pooled
from pipeline.metrics.summary import summarise
from pipeline.probe import linear, scores
from pipeline.probe.linear import GRID, fitted_probe
from pipeline.probe.scores import probed
from pipeline.scored_video import ScoredVideo
from pipeline.sequences import FrameTarget

CLASSES = ("A", "B", "C")


def split(found, training=4):
    return found[:training], found[training:]


def shuffled(found):
    random = np.random.default_rng(1)
    return [replace(s, target=FrameTarget(random.permutation(s.labels))) for s in found]


def test_planted_phases_are_found_in_videos_that_were_never_seen():
    found = probed(*split(videos(7)), CLASSES)
    assert found.linear.accuracy > 0.99 and found.neighbours.accuracy > 0.99
    assert found.linear.macro_f1 > 0.99 and found.videos == 3
    low, high = found.linear.interval
    assert low <= found.linear.accuracy <= high


def test_shuffled_labels_are_predicted_by_chance():
    found = probed(*split(shuffled(videos(9, frames=300)), 5), CLASSES)
    assert found.linear.accuracy == pytest.approx(1 / 3, abs=0.06)
    assert found.neighbours.accuracy == pytest.approx(1 / 3, abs=0.06)


def test_the_same_features_give_the_same_scores():
    first, second = (probed(*split(videos(6, by_phase=0.2)), CLASSES) for _ in range(2))
    assert first == second and first.linear.accuracy < 1


def test_scores_are_those_of_the_report():
    training, scored = split(videos(7, by_phase=0.2))
    classifier, _ = fitted_probe(pooled(training))
    predicted = {s.video: classifier.predict(s.features.astype(np.float32)) for s in scored}
    truth = {s.video: ScoredVideo(s.labels, predicted[s.video]) for s in scored}
    report = summarise(truth, CLASSES, 1.0, 10, scores.DRAWS)["frame"]
    found = probed(training, scored, CLASSES).linear
    expected = [report["accuracy"][key] for key in ("mean", "ci_low", "ci_high")]
    assert [found.accuracy, *found.interval] == pytest.approx(expected, abs=1e-6)
    assert found.macro_f1 == pytest.approx(report["f1"]["per_phase_mean"], abs=1e-6)


def test_unlabelled_frames_take_no_part():
    training, scored = split(videos(6))
    marked = []
    for s in (*training, *scored):
        labels = s.labels.copy()
        labels[::2] = -1
        marked.append(replace(s, target=FrameTarget(labels)))
    found = probed(*split(marked), CLASSES)
    assert (found.training_frames, found.frames) == (4 * 60, 2 * 60)
    assert found.linear.accuracy > 0.99


def test_many_training_frames_are_thinned_evenly(monkeypatch):
    monkeypatch.setattr(scores, "TRAINING_FRAMES", 60)
    found = probed(*split(videos(6)), CLASSES)
    assert found.training_frames == 60 and found.frames == 240
    assert found.linear.accuracy > 0.99


def test_no_video_is_on_both_sides_of_a_fold():
    """Every video has its own place in space, and only that tells its (random) label."""
    random = np.random.default_rng(0)
    label = np.array([0, 1, 2] * 4)
    places = 5 * random.normal(size=(12, 16))
    found = [
        sequence(f"v{i}", places[i] + 0.1 * random.normal(size=(30, 16)), np.full(30, label[i]))
        for i in range(12)
    ]
    seen = []
    fitted = linear._fitted

    def spy(training, c):
        seen.append(set(training.video.tolist()))
        return fitted(training, c)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "_fitted", spy)
        fitted_probe(pooled(found))
    inside = [videos for videos in seen if len(videos) < 12]
    assert len(inside) == linear.FOLDS * len(GRID) and all(len(v) == 8 for v in inside)


def test_one_training_video_is_enough():
    training, scored = split(videos(3), 1)
    found = probed(training, scored, CLASSES)
    assert found.c == GRID[len(GRID) // 2] and found.linear.accuracy > 0.9


def test_a_single_phase_is_what_is_predicted():
    training = [sequence(n, np.ones((9, 4)), np.zeros(9)) for n in "ab"]
    scored = [sequence("c", np.ones((10, 4)), np.r_[np.zeros(5), np.ones(5)])]
    found = probed(training, scored, CLASSES)
    assert found.linear.accuracy == 0.5
    assert found.linear.interval is None  # of a single video there is no interval


def test_videos_without_labels_are_an_error():
    training, scored = split(videos(6))
    blank = [replace(s, target=FrameTarget(np.full(len(s), -1))) for s in scored]
    for given in ((training, blank), (blank, scored), (training, [])):
        with pytest.raises(PipelineError, match="needs labelled videos in train"):
            probed(*given, CLASSES)
