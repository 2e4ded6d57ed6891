"""The command `stream`: predict what a source shows, while it shows it."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from pipeline.errors import PipelineError
from pipeline.predict.predictor import Predictor
from pipeline.stream.moments import Moment, as_they_pass, one_by_one
from pipeline.stream.newest import Newest
from pipeline.stream.page import live_page
from pipeline.stream.saying import say
from pipeline.stream.server import LiveServer, is_loopback, listen
from pipeline.stream.sources import Source, source_of
from pipeline.stream.tally import Line, Tally, told
from pipeline.timebase import exact_fps

# A camera that is unplugged stays so more often than a network.
_GIVE_UP_CAMERA_S = 10.0


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        source: As source_of takes it.
        models: A folder of models, or a bundle.
        size: `WIDTHxHEIGHT` of the pictures, of cameras and standard input.
        rate: Pictures per second, likewise.
        pace: Whether a file and standard input are read at their own pace.
        give_up_s: Seconds without a picture after which it ends; None: 10 for a camera, else never.
        serve: Where the live page is; None: nowhere.
        device: As in Predictor.
    """

    source: str
    models: Path = Path("models")
    size: str | None = None
    rate: str | None = None
    pace: bool = True
    give_up_s: float | None = None
    serve: str | None = None
    device: str = "auto"


def stream(request: Request) -> None:
    """Write a line of JSON for each prediction to standard output, until the source ends.

    Raises:
        PipelineError: The source cannot be read, gives no picture for too long or needs another
            option; the models cannot be used live; or the page's port is taken.
    """
    tally: Tally | None = None
    try:
        source = source_of(request.source, _size(request.size), _rate(request.rate))
        if not request.pace and source.returns:
            raise PipelineError(f"{source.name}: --no-pace is for files and standard input.")
        with _served(request.serve) as server, _ready(request) as predictor:
            tally = Tally(predictor.classes)
            if server is not None:
                server.start(live_page(source.name, predictor.classes))
                say(f"the live page is at {server.address}")
            with _moments(source, predictor.image_rate, request) as moments:
                for line in told(predictor, moments, tally):
                    _tell(line, server, tally)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Whoever read the lines has gone. What Python flushes at its end must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if tally is not None:
        say(f"ended: {tally.predictions} predictions, {tally.dropped} dropped")


@contextmanager
def _served(asked: str | None) -> Iterator[LiveServer | None]:
    """The server that listens already, so that a port in use is said at once."""
    if asked is None:
        yield None
        return
    with listen(asked) as server:
        if not is_loopback(server.host):
            say(f"WARNING: whoever reaches {server.host} can see the page, without a password")
        try:
            yield server
        finally:
            if server.page:
                server.shutdown()


@contextmanager
def _ready(request: Request) -> Iterator[Predictor]:
    """The models, checked and warm: the first pass takes several times as long as the others."""
    with Predictor(request.models, request.device, batch=1) as predictor:
        for note in predictor.notes:
            say(note)
        predictor.frame(np.zeros((72, 128, 3), dtype=np.uint8), 0.0)
        predictor.restart()
        yield predictor


@contextmanager
def _moments(source: Source, rate: Fraction, request: Request) -> Iterator[Iterator[Moment]]:
    if not request.pace:
        yield one_by_one(source.frames(), rate)
        return
    give_up_s = request.give_up_s
    if give_up_s is None and source.kind == "camera":
        give_up_s = _GIVE_UP_CAMERA_S
    newest = Newest(source)
    try:
        yield as_they_pass(newest, rate, give_up_s)
    finally:
        newest.close()


def _tell(line: Line, server: LiveServer | None, tally: Tally) -> None:
    print(json.dumps(line), flush=True)
    if server is not None:
        server.publish(json.dumps(line | tally.so_far()))


def _size(asked: str | None) -> tuple[int, int] | None:
    if asked is None:
        return None
    width, _, height = asked.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise PipelineError(f"--size {asked}: no size. Write width and height: 1280x720.")
    return int(width), int(height)


def _rate(asked: str | None) -> Fraction | None:
    if asked is None:
        return None
    try:
        return exact_fps(asked)
    except ValueError as error:
        raise PipelineError(f"--rate: {error}.") from None
