import numpy as np
import pytest

from pipeline.seen import FAR, distance, features_seen


def videos(number=6, shift=0.3, dim=40, seed=0):
    random = np.random.default_rng(seed)
    lengths = random.integers(30, 90, number)
    return [
        (random.normal(size=(n, dim)) + shift * random.normal(size=dim)).astype(np.float16)
        for n in lengths
    ]


def test_the_unit_is_the_distance_of_a_video_from_the_mean_of_the_others():
    found = videos()
    std = np.concatenate(found).astype(np.float64).std(axis=0)
    of_each = []
    for number, video in enumerate(found):
        others = np.concatenate(found[:number] + found[number + 1 :]).astype(np.float64)
        gap = (video.astype(np.float64).mean(axis=0) - others.mean(axis=0)) / std
        of_each.append(np.mean(gap**2))
    seen = features_seen(found)
    assert seen["videos"] == 6
    assert seen["spread"] == pytest.approx(np.sqrt(np.mean(of_each)), rel=1e-4)
    np.testing.assert_allclose(seen["std"], std, rtol=1e-4)


def test_a_video_of_the_same_kind_is_near_and_another_kind_is_far():
    seen = features_seen(videos())
    (alike,) = videos(1, seed=7)
    assert distance(alike, seen) < 2
    assert distance(alike + 3, seen) > FAR
    assert distance(10 * alike, seen) > FAR


def test_one_video_or_equal_ones_give_no_unit():
    (video,) = videos(1)
    for alone in ([video], [video, video]):
        seen = features_seen(alone)
        assert seen["spread"] is None
        assert distance(video, seen) is None
