import numpy as np
import pytest
from planted import sequence, videos

from pipeline.feature_space.neighbours import K
from pipeline.feature_space.pool import pooled
from pipeline.feature_space.separation import NEAR_S, separation


def test_planted_phases_are_seen_as_phases():
    found = separation(pooled(videos(6, frames=400, by_phase=1, by_video=0)))
    assert found.nearest_elsewhere.found > 0.99 and found.same_phase.found > 0.99
    assert found.nearest_elsewhere.chance == pytest.approx(1 / 3, abs=1e-3)
    assert found.same_video.lift == pytest.approx(1, abs=0.1)


def test_planted_videos_are_seen_as_videos():
    found = separation(pooled(videos(6, by_phase=0, by_video=2)))
    assert found.same_video.found > 0.99
    assert found.same_phase.lift == pytest.approx(1, abs=0.2)
    assert found.nearest_elsewhere.lift == pytest.approx(1, abs=0.2)


def test_noise_is_seen_as_chance():
    found = separation(pooled(videos(6, frames=200, by_phase=0)))
    for share in (found.nearest_elsewhere, found.same_phase, found.same_video):
        assert share.lift == pytest.approx(1, abs=0.15)


def test_every_share_is_that_of_a_slow_definition():
    pool = pooled(videos(3, frames=90, by_phase=0.3, by_video=0.3))
    unit = pool.features / np.linalg.norm(pool.features, axis=1, keepdims=True)
    rows = {"elsewhere": [], "phase": [], "video": []}
    for i in range(len(pool)):
        cosine = unit @ unit[i]
        others = np.flatnonzero(pool.video != pool.video[i])
        best = others[cosine[others].argmax()]
        same = pool.labels == pool.labels[i]
        rows["elsewhere"].append((same[best], same[others].mean()))
        apart = (pool.video != pool.video[i]) | (np.abs(pool.time_s - pool.time_s[i]) > NEAR_S)
        allowed = np.flatnonzero(apart)
        near = allowed[np.argsort(-cosine[allowed])[:K]]
        own = pool.video == pool.video[i]
        in_videos = [same[allowed][pool.video[allowed] == pool.video[j]].mean() for j in near]
        of_phases = [own[allowed][pool.labels[allowed] == pool.labels[j]].mean() for j in near]
        rows["phase"].append((same[near].mean(), np.mean(in_videos)))
        rows["video"].append((own[near].mean(), np.mean(of_phases)))
    found = separation(pool)
    for share, expected in zip(
        (found.nearest_elsewhere, found.same_phase, found.same_video), rows.values(), strict=True
    ):
        assert (share.found, share.chance) == pytest.approx(np.mean(expected, axis=0), abs=1e-5)


def test_a_single_video_has_no_neighbour_elsewhere():
    found = separation(pooled(videos(1)))
    assert np.isnan(found.nearest_elsewhere.found)
    assert found.same_video.found == 1


def test_a_pool_takes_evenly_spaced_labelled_frames_of_each_video():
    a = sequence("a", np.arange(300.0)[:, None], np.r_[np.full(100, -1), np.zeros(200)])
    b = sequence("b", np.arange(10.0)[:, None], np.zeros(10), fps=2.0)
    pool = pooled([a, b], most=100)
    assert np.bincount(pool.video).tolist() == [50, 10]
    assert pool.sample[0] == 100 and pool.sample[49] == 299
    assert set(np.diff(pool.sample[:50])) == {4, 5}
    np.testing.assert_array_equal(pool.features[:, 0], pool.sample)
    assert pool.time_s[-1] == 4.5
    assert len(pooled([a, b])) == 210
    unlabelled = sequence("c", np.zeros((5, 1)), np.full(5, -1))
    both = pooled([a, unlabelled]).followed_by(pooled([b]))
    np.testing.assert_array_equal(both.video, pooled([a, unlabelled, b]).video)
    assert both.videos == ("a", "c", "b")
