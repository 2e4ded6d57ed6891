"""A video's phases as the page draws them."""

import re

import numpy as np
import pytest

from pipeline.drawing.svg_ribbons import CONFIDENCE_BINS, clock, ribbon_of
from pipeline.scored_video import ScoredVideo


@pytest.mark.parametrize("count", [1, 2, 399, 400, 401, 3601])
def test_confidence_bins_cover_every_frame_once(count):
    probabilities = np.zeros((count, 2))
    probabilities[:, 0] = 1
    zeros = np.zeros(count, dtype=np.int64)
    ribbon = ribbon_of("v", ScoredVideo(zeros, zeros, probabilities), 1.0, 2)
    bins = ribbon.readout["confidence"]
    assert bins == [100] * min(count, CONFIDENCE_BINS)
    assert sum(int(step) for step in re.findall(r"h(\d+)", ribbon.confidence)) == count


def test_times_read_as_on_a_player():
    assert [clock(s) for s in (0, 59.9, 247, 3847)] == ["0:00", "0:59", "4:07", "1:04:07"]
