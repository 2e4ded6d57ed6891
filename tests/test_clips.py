"""Which frames make a clip, and at which rate they are stored."""

from fractions import Fraction

import numpy as np
import pytest

from pipeline.clips import ClipParams, clips_of


def clips(fps, position="past", **values):
    return clips_of(Fraction(str(fps)), ClipParams(position=position, **values))


def test_frames_are_stored_at_the_lowest_rate_that_holds_samples_and_clips():
    assert clips(1, frames=4, stride_s=0.5)[0] == 2
    assert clips(1, frames=4, stride_s=2)[0] == 1
    assert clips(2, frames=8, stride_s=0.2)[0] == 10
    assert clips(1, frames=16, stride_s="1/15")[0] == 15
    assert clips("0.5", frames=16, stride_s=4)[0] == Fraction(1, 2)
    assert clips(3, frames=4, stride_s=0.5)[0] == 6


def test_a_past_clip_ends_at_its_sample_and_repeats_the_first_frame_before_the_start():
    _, made = clips(1, frames=4, stride_s=0.5)
    assert made.rows(np.ones(7, bool)).tolist() == [
        [0, 0, 0, 0],
        [0, 0, 1, 2],
        [1, 2, 3, 4],
        [3, 4, 5, 6],
    ]


def test_a_centred_clip_surrounds_its_sample():
    _, made = clips(1, "centred", frames=5, stride_s=1)
    assert made.rows(np.ones(4, bool)).tolist() == [
        [0, 0, 0, 1, 2],
        [0, 0, 1, 2, 3],
        [0, 1, 2, 3, 3],
        [1, 2, 3, 3, 3],
    ]


def test_a_stride_of_several_samples_needs_no_more_frames_than_the_samples():
    rate, made = clips(1, frames=3, stride_s=2)
    assert rate == 1
    assert made.rows(np.ones(6, bool))[5].tolist() == [1, 3, 5]


def test_a_lost_frame_gives_way_to_the_last_kept_one_before_it():
    _, made = clips(1, frames=3, stride_s=1)
    kept = np.array([False, True, False, False, True])
    assert made.rows(kept).tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 4]]


@pytest.mark.parametrize("position", ["past", "centred"])
def test_rows_rise_along_the_clip_and_along_the_video(position):
    _, made = clips(2, position, frames=7, stride_s=0.3)
    rows = made.rows(np.ones(100, bool))
    assert (np.diff(rows, axis=0) >= 0).all()
    assert (np.diff(rows, axis=1) >= 0).all()


def test_a_stride_that_meets_no_sample_at_a_sensible_rate_is_refused_with_others_on_offer():
    with pytest.raises(ValueError, match=r"meet only at 10000 frames per second.*1/15"):
        clips(1, frames=16, stride_s=0.0667)


@pytest.mark.parametrize("stride", [0, -1, "one", "1/0"])
def test_an_impossible_stride_is_refused(stride):
    with pytest.raises(ValueError, match="seconds above 0"):
        ClipParams(frames=4, stride_s=stride)
