"""The server of the live page, and a source behind HTTP that breaks off and returns."""

import json
import threading
import time
from contextlib import closing
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import cv2
import numpy as np
import pytest
from videos import number_of, numbered_image, write_video

from pipeline.errors import PipelineError
from pipeline.frames.decode import upright
from pipeline.stream import newest as newest_module
from pipeline.stream.moments import as_they_pass
from pipeline.stream.newest import Newest
from pipeline.stream.page import live_page
from pipeline.stream.ribbon import Ribbon
from pipeline.stream.server import is_loopback, listen
from pipeline.stream.sources import source_of


@pytest.fixture
def server():
    with listen("127.0.0.1:0") as found:
        found.start(live_page("a <b>", ("Preparation", "Clipping & <cutting>")))
        yield found
        found.shutdown()


def next_event(answer):
    while not (line := answer.readline()).startswith(b"data: "):
        assert line, "the server has gone"
    return json.loads(line[6:])


def test_the_page_is_self_contained_and_nothing_else_is_served(server):
    with urlopen(server.address) as answer:
        page = answer.read().decode()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<h1>a &lt;b&gt;</h1>" in page
    assert "Clipping &amp; &lt;cutting&gt;" in page
    assert "src=" not in page
    assert "http://" not in page
    for path in ("index.html", "../pyproject.toml", "%2e%2e/etc/passwd", "events/x", "?x"):
        with pytest.raises(HTTPError) as error:
            urlopen(server.address + path)
        with closing(error.value):
            assert error.value.code == 404


def test_events_come_as_they_are_published_and_late_pages_get_the_newest(server):
    with urlopen(server.address + "events", timeout=10) as first:
        assert first.headers["Content-Type"] == "text/event-stream"
        assert first.readline() == b"retry: 1000\n"
        server.publish('{"time_s": 1}')
        assert next_event(first) == {"time_s": 1}
        server.publish('{"time_s": 2}')
        assert next_event(first) == {"time_s": 2}
        with urlopen(server.address + "events", timeout=10) as second:
            assert next_event(second) == {"time_s": 2}


@pytest.mark.parametrize("host", ["evil.example", "[", "127.0.0.1:x", "127.0.0.1@evil.example"])
def test_a_foreign_name_for_this_machine_is_refused(server, host):
    request = Request(server.address, headers={"Host": host})
    with pytest.raises(HTTPError) as error:
        urlopen(request)
    with closing(error.value):
        assert error.value.code == 403


def test_a_browser_that_has_gone_leaves_no_traceback(server, capsys):
    for error in (BrokenPipeError(), TimeoutError(), ValueError("ours")):
        try:
            raise error
        except (OSError, ValueError):
            server.handle_error(None, ("127.0.0.1", 1))
    assert capsys.readouterr().err.count("Traceback") == 1


def test_a_taken_port_and_what_is_no_address_are_refused_in_a_line(server):
    with pytest.raises(PipelineError, match="cannot listen there: Address already in use"):
        listen(f"127.0.0.1:{server.server_address[1]}")
    for asked in ("here", "host:99999", "http://host:1", "host:1/x"):
        with pytest.raises(PipelineError, match="no address"):
            listen(asked)
    assert is_loopback("127.0.0.1") and is_loopback("::1") and is_loopback("localhost")
    assert not is_loopback("0.0.0.0") and not is_loopback("192.168.0.5")


def test_a_ribbon_keeps_the_order_and_share_of_phases_for_hours():
    phases = np.repeat([0, 2, 1, 2], [7_000, 30_000, 50_000, 13_000])
    ribbon = Ribbon(3)
    for number in phases.tolist():
        ribbon.add(number)
    runs = ribbon.runs()
    assert [number for number, _ in runs] == [0, 2, 1, 2]
    assert sum(samples for _, samples in runs) == len(phases)
    np.testing.assert_allclose([s for _, s in runs], [7_000, 30_000, 50_000, 13_000], atol=300)
    for number in range(3 * 512):
        ribbon.add(number % 2)
    assert len(ribbon.runs()) <= 512


class Silent(BaseHTTPRequestHandler):
    """A server that does not write what it was asked into the test's output."""

    def log_message(self, *_):
        pass


class Camera(Silent):
    """Motion JPEG, five pictures for each connection, which is cut off then."""

    def do_GET(self):
        self.server.opened += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        for _ in range(5):
            jpeg = cv2.imencode(".jpg", numbered_image(self.server.opened))[1].tobytes()
            self.wfile.write(b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: ")
            self.wfile.write(f"{len(jpeg)}\r\n\r\n".encode() + jpeg + b"\r\n")
            time.sleep(0.03)


class Recording(Silent):
    """One transport stream, whole."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.send_header("Content-Length", str(len(self.server.stream)))
        self.end_headers()
        self.wfile.write(self.server.stream)


def test_the_first_key_frame_of_an_address_is_shown(tmp_path):
    write_video(tmp_path / "video.ts", 50, gop=50)
    with ThreadingHTTPServer(("127.0.0.1", 0), Recording) as server:
        server.stream = (tmp_path / "video.ts").read_bytes()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/video.ts"
        numbers = [number_of(upright(f)) for _, f in source_of(address, None, None).frames()]
        server.shutdown()
    assert numbers == list(range(50))


def test_an_address_that_breaks_off_is_opened_again(monkeypatch, capsys):
    monkeypatch.setattr(newest_module, "_FIRST_S", 0.1)
    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as camera:
        camera.opened = 0
        threading.Thread(target=camera.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{camera.server_address[1]}/stream.mjpg"
        newest, seen = Newest(source_of(address, None, None)), []
        for moment in as_they_pass(newest, Fraction(50), 10):
            seen.append(number_of(upright(moment.picture.frame)))
            if seen[-1] >= 3:
                break
        newest.close()
        camera.shutdown()
    assert seen[0] == 1
    assert seen == sorted(seen)
    assert capsys.readouterr().err.count("trying again") >= 2
