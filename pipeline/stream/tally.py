"""What is told of each prediction, and of all so far."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.predict.live import LivePrediction
from pipeline.predict.predictor import Predictor
from pipeline.stream.moments import Moment
from pipeline.stream.ribbon import Ribbon
from pipeline.stream.saying import say

Line = dict[str, Any]


class Tally:
    """Counts along; its size does not grow.

    Args:
        classes: Names in class order.

    Attributes:
        predictions: How many there were.
        dropped: Moments that the machine was too slow for.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._numbers = {name: number for number, name in enumerate(classes)}
        self._ribbon = Ribbon(len(classes))
        self._label: str | None = None
        self._since_s = 0.0
        self.predictions = self.dropped = 0

    def line(self, found: LivePrediction, moment: Moment) -> Line:
        """The line of a prediction, ready for JSON.

        `confidence` is the probability of the predicted phase. `latency_ms` goes from when the
        picture came to now, so it also tells how long a picture has been standing.
        """
        self.predictions += 1
        number = self._numbers[found.label]
        if found.label != self._label:
            self._label, self._since_s = found.label, moment.time_s
        self._ribbon.add(number)
        return {
            "time_s": round(moment.time_s, 6),
            "prediction": found.label,
            "confidence": round(float(found.probabilities[number]), 6),
            "probabilities": {
                name: round(float(found.probabilities[i]), 6) for name, i in self._numbers.items()
            },
            "latency_ms": round(1000 * (time.monotonic() - moment.picture.came_s), 1),
            "dropped": self.dropped,
        }

    def so_far(self) -> Line:
        """What the page shows besides the newest line."""
        return {"since_s": round(self._since_s, 6), "ribbon": self._ribbon.runs()}


def told(predictor: Predictor, moments: Iterable[Moment], tally: Tally) -> Iterator[Line]:
    """A line for each moment at which the model predicts.

    Args:
        predictor: One that can run live.
        moments: At `predictor.image_rate`.
        tally: Counts along.
    """
    clips = predictor.image_rate != predictor.fps
    last, skipped_s = None, 0.0
    for moment in moments:
        if moment.missed and not tally.dropped:
            say("this machine is too slow for each prediction; `dropped` counts what is left out")
        tally.dropped += moment.missed
        if clips:
            # Each missed clip would cost a pass and make the next ones late: the clock of the
            # model stands still instead. An image that stays costs nothing, so it fills the gap.
            skipped_s += moment.missed / float(predictor.image_rate)
        found = predictor.frame(moment.picture.frame, moment.time_s - skipped_s)
        if found is not last:
            yield tally.line(found, moment)
        last = found
