"""The command `stream`, in one process with a tiny model."""

import gc
import json
import os
import socket
import sys
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from contributed import toy_backbone
from tiny_models import CLASSES, make_models
from videos import number_of, numbered_image, write_video

from pipeline import Predictor, cli
from pipeline.errors import PipelineError
from pipeline.frames.decode import upright
from pipeline.networks.backbones import FAMILIES
from pipeline.stream import newest as newest_module
from pipeline.stream import sources as sources_module
from pipeline.stream.command import Request, stream
from pipeline.stream.moments import Moment, as_they_pass, one_by_one
from pipeline.stream.newest import Newest, Picture
from pipeline.stream.sources import LostError, Source, source_of
from pipeline.stream.tally import Tally, told

# Half precision would round last bits to either side, and a pass over one image differs in them
# from one over many.
EXACT = {"features": {"dtype": "float32", "crop": 32}}


@pytest.fixture
def models(workplace, monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # other tests run beside this one
    make_models(**EXACT)
    return workplace


def frame(number):
    return av.VideoFrame.from_ndarray(numbered_image(number), format="rgb24")


class Scripted:
    """A source whose openings do what they are told: frames, waits (floats), and breaks."""

    name, returns, paced, kind = "camera 7", True, True, "camera"

    def __init__(self, *openings):
        self.openings = list(openings)

    def frames(self):
        for step in self.openings.pop(0) if self.openings else [LostError("camera 7: gone")]:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                time.sleep(step)
            else:
                yield 0.0, frame(step)


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_file_at_full_speed_is_predicted_as_offline(models, capsys):
    write_video(Path("a.mp4"), 303, fps=25)
    stream(Request("a.mp4", pace=False, device="cpu"))
    found = lines(capsys)
    with Predictor(device="cpu") as predictor:
        whole = predictor.video("a.mp4")
    assert [line["time_s"] for line in found] == whole.time_s.tolist()
    assert [line["prediction"] for line in found] == whole.labels
    np.testing.assert_allclose(
        [[line["probabilities"][name] for name in CLASSES] for line in found],
        whole.probabilities,
        atol=2e-5,
    )
    for line in found:
        assert line["confidence"] == line["probabilities"][line["prediction"]]
        assert line["dropped"] == 0
    assert np.ptp(whole.probabilities, axis=0).max() > 0.01


def test_raw_pictures_on_standard_input_are_predicted_alike(models, capsys, monkeypatch):
    images = [numbered_image(number) for number in range(8)]
    Path("raw").write_bytes(b"".join(image.tobytes() for image in images))
    with open("raw") as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        stream(Request("-", size="160x64", rate="2", pace=False, device="cpu"))
    found = lines(capsys)
    with Predictor(device="cpu") as predictor:
        expected = [predictor.frame(images[2 * s], float(s)).probabilities for s in range(4)]
    for line, probabilities in zip(found, expected, strict=True):
        np.testing.assert_allclose(list(line["probabilities"].values()), probabilities, atol=2e-5)
    with (
        open("raw") as pipe,
        pytest.raises(PipelineError, match="ended within a picture, after 27360 of 31200"),
    ):
        monkeypatch.setattr(sys, "stdin", pipe)
        stream(Request("-", size="160x65", rate="2", pace=False, device="cpu"))


def test_a_standard_input_without_pictures_is_no_success(monkeypatch):
    source = source_of("-", (8, 8), Fraction(5))
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(PipelineError, match="standard input: is closed"):
        next(source.frames())
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(PipelineError, match="ended before its first picture"):
            next(source.frames())


def test_an_address_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(sources_module, "_TIMEOUT_S", (1, 1))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = source_of(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x", None, None)
        with pytest.raises(LostError, match="no video came from there within 1 s"):
            next(source.frames())


def test_moments_of_a_recording_show_what_is_shown_then():
    frames = [(0.0, "a"), (0.3, "b"), (0.9, "c"), (1.0, "d"), (1.2, "e")]
    found = [(m.time_s, m.picture.frame) for m in one_by_one(frames, Fraction(4))]
    assert found == [(0.0, "a"), (0.25, "a"), (0.5, "b"), (0.75, "b"), (1.0, "d")]


def test_who_is_too_slow_misses_moments_and_gets_the_newest_picture():
    source = Scripted([step for number in range(40) for step in (number, 0.01)])
    found = []
    newest = Newest(source)
    for moment in as_they_pass(newest, Fraction(20), None):
        found.append((moment, time.monotonic() - moment.picture.came_s))
        time.sleep(0.2 if len(found) == 2 else 0)
        if len(found) == 5:
            break
    newest.close()
    numbers = [round(20 * moment.time_s) for moment, _ in found]
    assert sum(moment.missed for moment, _ in found) == numbers[-1] - 4 >= 1
    for (before, after), (moment, _) in zip(pairwise(numbers), found[1:], strict=True):
        assert after - before == 1 + moment.missed


def test_what_was_missed_is_the_last_picture_repeated_and_encoded_once(models):
    pictures = [Picture(frame(number), time.monotonic()) for number in range(3)]
    late = [Moment(0.0, pictures[0]), Moment(5.0, pictures[1], 4), Moment(6.0, pictures[2])]
    with Predictor(device="cpu") as predictor:
        tally = Tally(predictor.classes)
        found = list(told(predictor, late, tally))
        assert tally.dropped == found[1]["dropped"] == found[2]["dropped"] == 4
        predictor.restart()
        passes = []
        encoder = predictor._models.writers[0].encoder
        encoder.network.register_forward_hook(lambda *_: passes.append(1))
        for second in range(5):
            predictor.frame(frame(0), float(second))
        assert len(passes) == 1
        predictor.frame(frame(1), 5.0)
        again = predictor.frame(frame(2), 6.0)
    np.testing.assert_allclose(
        list(found[2]["probabilities"].values()), again.probabilities, atol=1e-5
    )


def test_a_source_that_breaks_off_returns_and_its_picture_stands_meanwhile(monkeypatch, capsys):
    monkeypatch.setattr(newest_module, "_FIRST_S", 0.1)
    source = Scripted([1, LostError("camera 7: gone")], [LostError("x")], [2, 0.2, 3, 60.0])
    newest, found = Newest(source), []
    for moment in as_they_pass(newest, Fraction(50), None):
        found.append(number_of(upright(moment.picture.frame)))
        if found[-1] == 3:
            break
    newest.close()
    assert found == sorted(found)
    assert found.count(1) > 1
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "stream: camera 7: gone; its last picture stands, trying again",
        "stream: camera 7: pictures again",
    ]


@pytest.mark.parametrize(("slack_s", "shown"), [(0.0, 0), (1.0, 1)])
def test_a_picture_that_comes_a_little_late_still_counts(slack_s, shown, monkeypatch):
    monkeypatch.setattr(newest_module, "_SLACK_S", slack_s)
    newest = Newest(Scripted([0, 0.2, 1, 60.0]))
    picture = newest.at(newest.first().came_s)
    newest.close()
    assert number_of(upright(picture.frame)) == shown


def test_it_gives_up_where_it_is_asked_to(monkeypatch):
    monkeypatch.setattr(newest_module, "_FIRST_S", 0.1)
    newest = Newest(Scripted([1]))
    with pytest.raises(PipelineError, match=r"no picture for .* \(--give-up 0.3\)"):
        for _ in as_they_pass(newest, Fraction(20), 0.3):
            pass
    newest.close()
    with pytest.raises(LostError, match="gone"):
        Newest(Scripted()).first()


def test_memory_stays_the_same(models, monkeypatch):
    monkeypatch.setitem(FAMILIES, "toy", toy_backbone)
    make_models(name="toy")
    process, used = psutil.Process(), []
    with Predictor(device="cpu", threads=1) as predictor:
        tally = Tally(predictor.classes)
        frames = ((number / 1.0, frame(number % 1000)) for number in range(701))
        for number, _ in enumerate(told(predictor, one_by_one(frames, Fraction(1)), tally)):
            if number in (100, 700):
                gc.collect()
                used.append(process.memory_info().rss / 1e6)
    assert abs(used[1] - used[0]) < 5


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("nowhere.mp4", "no such file"),
        ("/dev/video99", "there is no such camera"),
        ("ftp://host/x", "an address of ftp. Allowed: rtsp, rtsps, http, https"),
        ("http://127.0.0.1:1/x", "Connection refused"),
        ("-", "without --size and --rate"),
        ("a.txt", "Invalid data"),
    ],
)
def test_a_source_that_is_none_ends_with_one_line(asked, message, models, monkeypatch, capsys):
    Path("a.txt").write_text("no video")
    monkeypatch.setattr(sys, "argv", ["surgphase", "stream", asked, "--device", "cpu"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    error = [li for li in capsys.readouterr().err.splitlines() if not li.startswith("stream: ")]
    assert len(error) == 1
    assert message in error[0]


def test_options_that_have_no_meaning_are_refused():
    with pytest.raises(PipelineError, match="--size 12: no size"):
        stream(Request("-", size="12", rate="25"))
    with pytest.raises(PipelineError, match="--rate: '0' is no rate"):
        stream(Request("-", size="12x12", rate="0"))
    with pytest.raises(PipelineError, match="are for cameras and standard input"):
        stream(Request("a.mp4", size="12x12"))
    with pytest.raises(PipelineError, match="--no-pace is for files"):
        stream(Request("rtsp://host/x", pace=False))


def test_a_password_in_an_address_is_not_shown():
    address = "rtsp://user:p%40ss@host:554/x@y"
    assert source_of(address, None, None) == Source("rtsp://host:554/x@y", "network", address)
    for wrong, size in (("udp://user:secret@host", None), ("rtsp://user:secret@host", (8, 8))):
        with pytest.raises(PipelineError, match="://host: ") as error:
            source_of(wrong, size, None)
        assert "secret" not in str(error.value)


def test_models_that_look_ahead_are_refused_before_the_source_is_opened(models):
    make_models(model={"hidden": 8, "layers": 1, "bidirectional": True}, causal=False)
    with pytest.raises(PipelineError, match="looks into the future and cannot run live"):
        stream(Request("http://127.0.0.1:1/x", device="cpu"))


def test_it_ends_quietly_when_it_is_interrupted_or_nobody_reads(models, monkeypatch, capsys):
    write_video(Path("a.mp4"), 50, fps=25)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.stream.command._tell", interrupted)
    stream(Request("a.mp4", pace=False, device="cpu"))
    assert capsys.readouterr().err.splitlines()[-1] == "stream: ended: 1 predictions, 0 dropped"
    monkeypatch.undo()
    monkeypatch.chdir(models)
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as nobody:
        monkeypatch.setattr(sys, "stdout", nobody)
        stream(Request("a.mp4", pace=False, device="cpu"))
