"""At which moments the models look, and at which picture."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av

from pipeline.errors import PipelineError
from pipeline.stream.newest import Newest, Picture

# Times of files are rounded.
_ALIKE_S = 1e-6


@dataclass(frozen=True)
class Moment:
    """One of the moments k / rate.

    Attributes:
        time_s: Since the first picture: k / rate.
        picture: The one that is shown then.
        missed: Moments just before this one for which the machine was too slow.
    """

    time_s: float
    picture: Picture
    missed: int = 0


def as_they_pass(newest: Newest, rate: Fraction, give_up_s: float | None) -> Iterator[Moment]:
    """The moments when they come, each with the newest picture.

    While no pictures come, the last one stands. Whoever takes longer than 1 / rate for a moment
    misses those that go by meanwhile, and is given the one that is due.

    Args:
        newest: Of the source.
        rate: Moments per second.
        give_up_s: Seconds without a new picture after which it ends; None: never.

    Raises:
        PipelineError: The source cannot be read, or gives no picture for too long.
    """
    picture = newest.first()
    if picture is None:
        return
    start_s, number = picture.came_s, 0
    while (picture := newest.at(start_s + float(number / rate))) is not None:
        now_s = time.monotonic()
        if give_up_s is not None and now_s - picture.came_s > give_up_s:
            raise PipelineError(
                f"no picture for {now_s - picture.came_s:.0f} s, given up (--give-up "
                f"{give_up_s:g}). Is the source still there?"
            )
        due = max(int((now_s - start_s) * rate), number)
        yield Moment(float(due / rate), picture, due - number)
        number = due + 1


def one_by_one(frames: Iterable[tuple[float, av.VideoFrame]], rate: Fraction) -> Iterator[Moment]:
    """The moments of a recording as fast as they are taken, none missed.

    Args:
        frames: Seconds since the first frame, and the frame.
        rate: Moments per second.
    """
    shown, shown_s, number = None, 0.0, 0
    for time_s, frame in frames:
        while shown is not None and number / rate < time_s - _ALIKE_S:
            yield Moment(float(number / rate), Picture(shown, time.monotonic()))
            number += 1
        shown, shown_s = frame, time_s
    # As in the frames stage, the last frame counts at its own time and not beyond.
    while shown is not None and number / rate <= shown_s + _ALIKE_S:
        yield Moment(float(number / rate), Picture(shown, time.monotonic()))
        number += 1
