"""Variants of training videos keep features and labels together and change nothing else."""

import numpy as np
import pytest

from pipeline.networks.temporal.standardise import Standardise
from pipeline.sequences import FrameTarget, Sequence, VideoTarget
from pipeline.train.augment import augment, drawn_rows
from pipeline.train.batches import batches, bucketed, shuffled
from pipeline.train.params import AugmentParams, TrainParams

D = 6
MEAN, STD = np.full(D, 0.5, np.float32), np.arange(1, D + 1, dtype=np.float32)


def video(length=60, name="a"):
    """Every feature of a frame is its number, and its label is that number too."""
    numbers = np.arange(length)
    features = np.repeat(numbers[:, None], D, axis=1).astype(np.float32)
    return Sequence(
        name, features, FrameTarget(numbers.astype(np.int64)), numbers / 1.0, 1.0, "w", "f"
    )


def variants(count=40, length=60, **values):
    params = AugmentParams(**values)
    return [augment(video(length), seed, params, MEAN, STD) for seed in range(count)]


@pytest.mark.parametrize(
    "values",
    [{"shift": 7}, {"speed": 0.4}, {"crop": 0.3}, {"shift": 90, "speed": 0.9, "crop": 0.1}],
)
def test_labels_stay_with_their_frames_and_frames_in_their_order(values):
    found = variants(**values)
    for one in found:
        assert (one.features == one.labels[:, None]).all()
        assert (np.diff(one.labels) >= 0).all()
    assert len({tuple(one.labels) for one in found}) > 1


def test_a_crop_keeps_at_least_its_share_in_one_piece():
    found = variants(crop=0.5)
    assert min(len(one) for one in found) >= 30
    assert all((np.diff(one.labels) == 1).all() for one in found)
    assert min(one.labels[0] for one in found) < 5
    assert max(one.labels[-1] for one in found) > 55


def test_speed_changes_the_length_by_its_factor_and_keeps_both_ends():
    found = variants(speed=0.25, length=200)
    lengths = [len(one) for one in found]
    assert 200 / 1.25 - 1 <= min(lengths) < 180
    assert 220 < max(lengths) <= 200 / 0.75 + 1
    for one in found:
        assert one.labels[0] <= 1
        assert one.labels[-1] >= 198
        assert np.diff(one.labels).max() <= 2


def test_a_shift_repeats_the_frame_at_the_end_that_it_leaves():
    for one in variants(shift=5):
        moved = 30 - one.labels[30]
        assert abs(moved) <= 5
        assert list(one.labels) == [min(max(n - moved, 0), 59) for n in range(60)]
    assert {30 - one.labels[30] for one in variants(200, shift=2)} == {-2, -1, 0, 1, 2}


def test_noise_has_the_spread_of_the_standardised_features():
    (one,) = variants(1, length=20000, noise=0.3)
    noise = one.features - one.labels[:, None]
    np.testing.assert_allclose(noise.std(axis=0), 0.3 * STD, rtol=0.05)
    np.testing.assert_allclose(noise.mean(axis=0) / STD, 0, atol=0.02)


def test_what_is_dropped_is_at_the_mean_for_whole_features_or_whole_frames():
    features = np.array(
        [(one.features == MEAN).all(axis=0) for one in variants(feature_dropout=0.3)]
    )
    assert 0.2 < features.mean() < 0.4
    (one,) = variants(1, length=5000, frame_dropout=0.2)
    lost = (one.features == MEAN).all(axis=1)
    assert 0.17 < lost.mean() < 0.23
    assert (one.features[~lost] == one.labels[~lost, None]).all()
    assert list(one.labels) == list(range(5000))


def test_one_setting_does_not_shift_what_another_draws():
    for alone, both in zip(variants(crop=0.5), variants(crop=0.5, noise=1e-9), strict=True):
        assert list(alone.labels) == list(both.labels)


def test_a_part_without_labels_is_not_taken():
    one = video(60)
    one.labels[3:] = -1
    params = AugmentParams(crop=0.1)
    for seed in range(20):
        assert (augment(one, seed, params, MEAN, STD).labels >= 0).any()


@pytest.mark.parametrize("length", [1, 2, 7])
def test_the_shortest_videos_stay_videos(length):
    params = AugmentParams(crop=0.01, speed=0.99, shift=9)
    for seed in range(50):
        rows = drawn_rows(length, params, np.random.default_rng(seed))
        assert len(rows) >= 1
        assert 0 <= rows.min() <= rows.max() < length


def drawn(videos, epoch, **values):
    params = TrainParams(**values)
    standardise = Standardise(D)
    return list(batches(videos, params, standardise, 1, epoch))


def test_without_augmentation_the_videos_themselves_come_each_once():
    videos = [video(n) for n in range(10, 17)]
    found = [one for batch in drawn(videos, 1, batch=3) for one in batch]
    assert sorted(map(id, found)) == sorted(map(id, videos))


def test_variants_belong_to_seed_epoch_and_place_and_not_to_names_or_order_of_asking():
    videos = [video(400, name) for name in "abcd"]
    renamed = [video(400, name) for name in "efgh"]
    values = {"augment": {"noise": 0.1, "crop": 0.5, "speed": 0.5}}

    def labels(batches):
        return [list(one.labels) for batch in batches for one in batch]

    one = labels(drawn(videos, 3, **values))
    assert one == labels(drawn(renamed, 3, **values))
    assert one == labels(drawn(videos, 3, **values, batch=2))
    assert len({tuple(part) for part in one}) == 4
    assert not {tuple(part) for part in one} & {
        tuple(part) for part in labels(drawn(videos, 4, **values))
    }


LENGTHS = [100 + 37 * n % 900 for n in range(50)]


def padding(batches):
    return sum(len(b) * max(LENGTHS[n] for n in b) - sum(LENGTHS[n] for n in b) for b in batches)


def test_buckets_hold_every_video_once_and_spare_most_of_the_padding():
    plain, together = list(shuffled(LENGTHS, 4, 7)), list(bucketed(LENGTHS, 4, 7))
    assert sorted(n for batch in together for n in batch) == list(range(50))
    assert sorted(map(len, together)) == sorted(map(len, plain))
    assert padding(together) < padding(plain) / 3


def test_buckets_and_their_order_are_drawn_from_the_seed():
    one, again, other = (list(bucketed(LENGTHS, 4, seed)) for seed in (1, 1, 2))
    assert one == again
    assert {frozenset(b) for b in one} != {frozenset(b) for b in other}
    longest = [max(LENGTHS[n] for n in b) for b in one]
    assert longest != sorted(longest)


def test_every_part_of_a_video_keeps_the_one_class_of_the_whole():
    whole = Sequence("a", video().features, VideoTarget(2), video().time_s, 1.0, "w", "f")
    params = AugmentParams(crop=0.3, speed=0.2, shift=2, frame_dropout=0.2)
    found = [augment(whole, seed, params, MEAN, STD) for seed in range(10)]
    assert len({len(variant) for variant in found}) > 1
    for variant in found:
        assert len(variant.labels) == len(variant) and (variant.labels == 2).all()
