"""A thread that reads a source and keeps its newest picture, and nothing else."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import av

from pipeline.stream.saying import say
from pipeline.stream.sources import LostError, Source

# Seconds before the first and the longest wait before a lost source is tried again.
_FIRST_S, _LONGEST_S = 0.5, 10.0
# Pictures come a little before or after they are due. One that is due at the very moment that is
# waited for is given this time: the picture before it is older by a picture's length.
_SLACK_S = 0.005


@dataclass(frozen=True)
class Picture:
    """A picture and when it came.

    Attributes:
        frame: As decoded.
        came_s: On time.monotonic().
    """

    frame: av.VideoFrame
    came_s: float


class Newest:
    """The newest picture of a source at any time.

    A camera or an address that breaks off is opened again, with waits that grow to ten seconds; its
    last picture stands meanwhile. A file and a pipe are read at the pace of their own clock.

    Args:
        source: Read from when this is made, by a thread that ends with the program or with `close`.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._picture: Picture | None = None
        self._ended = False
        self._error: Exception | None = None
        threading.Thread(target=self._run, name="reader", daemon=True).start()

    def close(self) -> None:
        """Stop reading, after the next picture."""
        self._closed.set()

    def first(self) -> Picture | None:
        """Wait for the first picture; None where there is none before the end.

        Raises:
            PipelineError: The source cannot be read.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._picture or self._ended)
            if self._error is not None:
                raise self._error
            return self._picture

    def at(self, when_s: float) -> Picture | None:
        """Wait until a time; the picture that is the newest then, None behind the last one.

        A picture that comes up to 5 ms later still counts.

        Args:
            when_s: On time.monotonic(); one that has gone by gives the newest picture now.

        Raises:
            PipelineError: The source cannot be read any more.
        """
        with self._changed:
            while (left_s := when_s + _SLACK_S - time.monotonic()) > 0 and not self._ended:
                self._changed.wait(left_s)
            if self._error is not None:
                raise self._error
            assert self._picture is not None, "the first one is waited for"
            over = self._ended and when_s > self._picture.came_s + _SLACK_S
            return None if over else self._picture

    def _run(self) -> None:
        error: Exception | None = None
        try:
            self._read()
        except Exception as found:  # handed to whoever waits for a picture
            error = found
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify_all()

    def _read(self) -> None:
        """Read until the end, and a source that returns for ever."""
        wait_s = 0.0
        while not self._closed.is_set():
            try:
                for frame in self._at_their_pace():
                    if wait_s:
                        say(f"{self._source.name}: pictures again")
                        wait_s = 0.0
                    self._put(frame)
                    if self._closed.is_set():
                        return
                if not self._source.returns:
                    return
                lost = LostError(f"{self._source.name}: ended")
            except LostError as error:
                lost = error
            # What was never there is rather a wrong name.
            if not self._source.returns or self._picture is None:
                raise lost
            if not wait_s:
                say(f"{lost}; its last picture stands, trying again")
            wait_s = min(2 * wait_s, _LONGEST_S) or _FIRST_S
            self._closed.wait(wait_s)

    def _at_their_pace(self) -> Iterator[av.VideoFrame]:
        start_s: float | None = None
        for time_s, frame in self._source.frames():
            now_s = time.monotonic()
            late = start_s is not None and now_s > start_s + time_s
            # The clock of a pipe that stood still goes on from here; a file catches up.
            if start_s is None or (late and self._source.kind == "pipe"):
                start_s = now_s - time_s
            if not self._source.paced:
                self._closed.wait(start_s + time_s - now_s)
            yield frame

    def _put(self, frame: av.VideoFrame) -> None:
        with self._changed:
            self._picture = Picture(frame, time.monotonic())
            if not self._ended:
                self._changed.notify_all()
