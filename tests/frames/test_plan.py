"""Which packets are decoded, and how spans are worked on side by side."""

import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.frames import lanes
from pipeline.frames.lanes import side_by_side
from pipeline.frames.packets import Packet, PacketReader, table_of
from pipeline.frames.plan import plan_spans

# A group I P b p in the order of decoding: shown as I b P p; nobody refers to b and p.
TIMES, REFERENCES = (0, 2, 1, 3), (True, True, False, False)


def groups(count):
    return [
        Packet(4 * group + time_, True, place == 0, place == 0, reference, False)
        for group in range(count)
        for place, (time_, reference) in enumerate(zip(TIMES, REFERENCES, strict=True))
    ]


def decoded(packets, wanted, divide=True):
    spans = plan_spans(table_of(packets), np.array(wanted), divide)
    numbers = [span.first + np.flatnonzero(span.decode) for span in spans]
    assert [pts for span in spans for pts in span.wanted] == sorted(wanted)
    assert [span.pictures for span in spans] == [len(n) for n in numbers]
    return [n.tolist() for n in numbers]


def test_only_what_the_wanted_pictures_need_is_decoded():
    # The example of plan_spans: pictures shown at 1 and 11; the last packet is always decoded.
    assert decoded(groups(3), [1, 11]) == [[0, 1, 2, 8, 9, 11]]
    assert decoded(groups(3), [0]) == [[0, 8, 9, 11]]
    assert decoded(groups(1), [3]) == [[0, 1, 3]]


def test_spans_begin_only_at_closed_groups():
    packets = groups(200)
    assert [span[0] for span in decoded(packets, list(range(800)))] == list(range(0, 800, 100))
    assert len(decoded(packets, list(range(800)), divide=False)) == 1
    # A picture that is shown before the key frame it follows: its group is open.
    swapped = [
        Packet({4: 3, 3: 4}.get(p.pts, p.pts), True, p.key, p.fresh, p.reference, False)
        for p in groups(2)
    ]
    # Packet 4, the key frame, is shown at 3 now and packet 3 at 4: one group of eight.
    assert decoded(swapped, [0]) == [[0, 1, 4, 5, 7]]
    # Parameter sets on the way bind the stream together.
    bound = [*groups(200)]
    bound[400] = Packet(bound[400].pts, True, True, True, True, True)
    assert len(decoded(bound, list(range(800)))) == 1


def test_far_apart_groups_are_spans_of_their_own():
    assert [span[0] for span in decoded(groups(400), [0, 804, 1599])] == [0, 804, 1596]


def test_times_that_are_missing_or_repeated_tell_nothing():
    packets = groups(2)
    assert table_of([*packets, Packet(None, True, False, False, True, False)]) is None
    assert table_of([*packets, packets[0]]) is None


class FakeStream:
    """As much of PyAV's stream and packet as PacketReader looks at."""

    def __init__(self, name, extradata):
        self.codec_context = self
        self.codec = self
        self.name, self.extradata, self.intra_only = name, extradata, False


class FakePacket(bytearray):
    pts, is_discard, is_keyframe = 0, False, False

    def has_sidedata(self, kind):
        return False


@pytest.mark.parametrize(
    ("name", "unit", "fresh", "reference", "parameters"),
    [
        ("h264", b"\x65abc", True, True, False),  # IDR
        ("h264", b"\x41abc", False, True, False),  # P
        ("h264", b"\x01abc", False, False, False),  # b, nal_ref_idc 0
        ("h264", b"\x67abc", False, True, True),  # SPS, and no slice
        ("h264", b"\x06abc", False, True, False),  # SEI alone: kept
        ("hevc", b"\x26\x01ab", True, True, False),  # IDR_W_RADL
        ("hevc", b"\x2a\x01ab", False, True, False),  # CRA: others may lead it
        ("hevc", b"\x00\x01ab", False, False, False),  # TRAIL_N in the lowest layer
        ("hevc", b"\x00\x02ab", False, True, False),  # TRAIL_N in a higher one
        ("hevc", b"\x02\x01ab", False, True, False),  # TRAIL_R
    ],
)
def test_unit_headers_are_read_as_the_standards_say(name, unit, fresh, reference, parameters):
    by_length = b"\x01" + b"\xff" * 30
    for extradata, content in (
        (by_length, len(unit).to_bytes(4, "big") + unit),
        (b"", b"\0\0\0\1" + unit),
    ):
        packet = PacketReader(FakeStream(name, extradata)).read(FakePacket(content))
        assert (packet.fresh, packet.reference) == (fresh, reference)
        assert packet.parameters == parameters


def test_parameter_sets_that_the_header_holds_already_change_nothing():
    header = b"\0\0\1\x67abc\0\0\1\x68de"
    reader = PacketReader(FakeStream("h264", header))
    assert not reader.read(FakePacket(header + b"\0\0\1\x65xyz")).parameters
    assert reader.read(FakePacket(b"\0\0\1\x67abd\0\0\1\x65xyz")).parameters


@contextmanager
def counting():
    def work(task):
        for number in range(task):
            yield task, number

    yield work


def test_results_keep_the_order_of_the_tasks():
    tasks = [3, 0, 200, 1, 77, 150]
    expected = [(task, number) for task in tasks for number in range(task)]
    for workers in (1, 2, 5):
        assert list(side_by_side(tasks, counting, workers)) == expected


def test_no_more_is_made_than_may_wait():
    made = []

    @contextmanager
    def worker():
        def work(task):
            for number in range(1000):
                made.append(number)
                yield number

        yield work

    others = threading.active_count()
    results = side_by_side(range(50), worker, 2)
    next(results)
    time.sleep(0.3)
    assert len(made) <= 1 + 2 * (64 + 1) + 1
    results.close()
    assert threading.active_count() == others


class UnfairSemaphore:
    """As Python's own may: the first thread that has to wait sees all others served before it."""

    def __init__(self, value):
        self._value = value
        self._free = threading.Condition()
        self._starved = None

    def acquire(self):
        with self._free:
            while self._value == 0 or self._starved is threading.current_thread():
                if self._starved is None:
                    self._starved = threading.current_thread()
                self._free.wait()
            self._value -= 1

    def release(self, n=1):
        with self._free:
            self._value += n
            if n > 1:  # the end: everyone may go
                self._starved = threading.main_thread()
            self._free.notify_all()


def test_a_thread_that_waits_holds_up_nobody(monkeypatch):
    only_here = SimpleNamespace(Semaphore=UnfairSemaphore, Event=threading.Event)
    monkeypatch.setattr(lanes, "threading", only_here)
    found = []
    consumer = threading.Thread(
        target=lambda: found.extend(side_by_side([1] * 40, counting, 2)), daemon=True
    )
    consumer.start()
    consumer.join(20)
    assert len(found) == 40


def test_an_error_comes_after_the_results_before_it():
    @contextmanager
    def worker():
        def work(task):
            yield task
            if task == 3:
                raise ValueError("three")

        yield work

    seen = []
    with pytest.raises(ValueError, match="three"):
        for result in side_by_side(range(9), worker, 2):
            seen.append(result)
    assert seen == [0, 1, 2, 3]


def test_a_worker_that_cannot_begin_is_an_error():
    @contextmanager
    def worker():
        raise OSError("no file")
        yield

    with pytest.raises(OSError, match="no file"):
        list(side_by_side([1, 2], worker, 2))
