"""The live page and its events on a port of this machine; there is nothing else to be had."""

import ipaddress
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import PipelineError

# Pages that are open at the same time; each keeps a thread.
_MOST = 32
# Seconds between two signs of life, and until a browser that takes nothing is left.
_ALIVE_S, _TAKEN_S = 5.0, 10.0
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "connect-src 'self'; img-src data:"
    ),
    "X-Content-Type-Options": "nosniff",
}


class LiveServer(ThreadingHTTPServer):
    """Serves `/`, a page, and `/events`, the newest event again and again (Server-Sent Events).

    A browser that is slow, or comes late, gets the newest event; none are kept.

    Args:
        host: Where to listen.
        port: 0: any that is free.

    Raises:
        OSError: It cannot listen there.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, host: str, port: int) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)
        self.host = host
        self.page = b""
        self.places = threading.BoundedSemaphore(_MOST)
        self._changed = threading.Condition()
        self._event, self._number = b"", 0

    @property
    def address(self) -> str:
        """The page's address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server_address[1]}/"

    def start(self, page: str) -> None:
        """Serve from a thread of its own."""
        self.page = page.encode()
        threading.Thread(target=self.serve_forever, name="server", daemon=True).start()

    def publish(self, event: str) -> None:
        """The newest event, text without line breaks."""
        with self._changed:
            self._event, self._number = f"data: {event}\n\n".encode(), self._number + 1
            self._changed.notify_all()

    def event_after(self, number: int) -> tuple[bytes, int]:
        """The newest event and its number, once there is one after this one; else a comment."""
        with self._changed:
            if self._changed.wait_for(lambda: self._number > number, _ALIVE_S):
                return self._event, self._number
        return b":\n\n", number

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that has gone is no error; anything else is shown as usual."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer
    timeout = _TAKEN_S

    def do_GET(self) -> None:
        if not self._is_asked_for_by_name():
            self.send_error(403, "Not under this name")
        elif self.path == "/":
            self._begin("text/html; charset=utf-8")
            self.wfile.write(self.server.page)
        elif self.path == "/events":
            if not self.server.places.acquire(blocking=False):
                self.send_error(503, "Too many pages are open")
                return
            try:
                self._events()
            finally:
                self.server.places.release()
        else:
            self.send_error(404)

    def _is_asked_for_by_name(self) -> bool:
        """Whether a page on loopback is asked for as such, and not by a foreign site's name."""
        if not is_loopback(self.server.host):
            return True
        host, _ = _host_and_port(self.headers.get("Host", ""))
        return is_loopback(host or "")

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()

    def _events(self) -> None:
        self._begin("text/event-stream")
        self.wfile.write(b"retry: 1000\n\n")  # milliseconds until the browser connects again
        number = 0
        while True:
            event, number = self.server.event_after(number)
            self.wfile.write(event)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: standard error is for what matters."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches this host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(asked: str) -> LiveServer:
    """A server that listens, and does not answer before it is started.

    Args:
        asked: `host:port`, or a port of this machine alone.

    Raises:
        PipelineError: It is no address, or it is taken.
    """
    host, port = _host_and_port(f"127.0.0.1:{asked}" if asked.isdecimal() else asked)
    if host is None or port is None:
        raise PipelineError(
            f"--serve {asked}: no address. Write a port, 8080, for this machine alone, or host and "
            "port, 127.0.0.1:8080."
        )
    try:
        return LiveServer(host, port)
    except OSError as error:
        why = error.strerror or str(error)
        raise PipelineError(
            f"--serve {asked}: cannot listen there: {why}. Choose another port, such as "
            f"{port + 1}; 0 is any that is free."
        ) from None


def _host_and_port(text: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(f"//{text}")
        return (parts.hostname, parts.port) if parts.netloc == text else (None, None)
    except ValueError:
        return None, None
