"""Headless Chromium under control: real keys and clicks, screenshots, downloads.

It speaks the DevTools protocol over two pipes, which needs no library.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from browser import NAMES

_KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9, " ": 32}


class Page:
    """One tab of a browser.

    Args:
        profile: Empty folder for the browser; downloads arrive in it.
        width, height: Of the window in CSS pixels, however small.
        dark: Which colour scheme the user prefers.
        touch: Whether the window is that of a phone.
    """

    def __init__(self, profile: Path, width=1280, height=800, dark=False, touch=False) -> None:
        browser = next((found for name in NAMES if (found := shutil.which(name))), None)
        if browser is None:
            pytest.skip("no Chromium on this machine: the page was not opened")
        to_read, self._to_write = os.pipe()
        self._from_read, to_send = os.pipe()
        # The browser reads from descriptor 3 and writes to 4.
        moved = f'exec "$0" "$@" 3<&{to_read} 4>&{to_send}'
        self._process = subprocess.Popen(
            [
                *("bash", "-c", moved, browser, "--headless", "--no-sandbox", "--disable-gpu"),
                *("--no-first-run", "--disable-background-networking", "--disable-sync"),
                *("--disable-component-update", "--remote-debugging-pipe", "--mute-audio"),
                *("--autoplay-policy=no-user-gesture-required", f"--user-data-dir={profile}/user"),
            ],
            pass_fds=(to_read, to_send),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_send)
        self._received = b""
        self._number = 0
        self._session: str | None = None
        self.errors: list[str] = []
        self.downloads = profile
        self._call(
            "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(profile.resolve())
        )
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime"):
            self._call(f"{domain}.enable")
        self._call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch},
        )
        if touch:
            self._call("Emulation.setTouchEmulationEnabled", enabled=True)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def __enter__(self) -> "Page":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        os.close(self._to_write)
        os.close(self._from_read)

    def open(self, file: Path) -> None:
        """Load a file, and wait until its scripts ran."""
        self._call("Page.navigate", url=file.resolve().as_uri())
        self.wait("document.readyState === 'complete'")

    def value(self, expression: str):
        """What an expression gives in the page."""
        found = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise AssertionError(json.dumps(found["exceptionDetails"])[:2000])
        return found["result"].get("value")

    def wait(self, expression: str, timeout_s: float = 20) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + timeout_s
        while not self.value(expression):
            assert time.monotonic() < end, f"still not true: {expression}; {self.errors}"
            time.sleep(0.02)

    def key(self, key: str, modifiers: int = 0) -> None:
        """Press a key; modifiers: 1 Alt, 2 Ctrl, 8 Shift."""
        code = _KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
        event = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        if len(key) == 1 and not modifiers & 2:
            event["text"] = key
        self._call("Input.dispatchKeyEvent", type="keyDown", **event)
        event.pop("text", None)
        self._call("Input.dispatchKeyEvent", type="keyUp", **event)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse, move it, release it; a click where both places are one."""
        self._mouse("mouseMoved", start, 0)
        self._mouse("mousePressed", start, 1)
        for share in (0.5, 1.0):
            at = tuple(a + (b - a) * share for a, b in zip(start, end, strict=True))
            if end != start:
                self._mouse("mouseMoved", at, 1)
        self._mouse("mouseReleased", end, 0)

    def click(self, selector: str) -> None:
        """Click the middle of an element."""
        box = f"(() => {{ const e = document.querySelector({json.dumps(selector)}); "
        box += "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect(); "
        middle = tuple(self.value(box + "return [b.x + b.width / 2, b.y + b.height / 2]; })()"))
        self.drag(middle, middle)

    def wheel(self, place: tuple[float, float], delta: float) -> None:
        """Turn the wheel."""
        self._call(
            "Input.dispatchMouseEvent",
            **{"type": "mouseWheel", "x": place[0], "y": place[1], "deltaX": 0, "deltaY": delta},
        )

    def touches(self, kind: str, *places: tuple[float, float]) -> None:
        """Fingers: touchStart, touchMove, touchEnd."""
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        self._call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    def picture(self, file: Path, whole: bool = False) -> None:
        """A PNG of the window, or of the whole page."""
        found = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(found["data"]))

    def _mouse(self, kind: str, place: tuple[float, ...], buttons: int) -> None:
        self._call(
            "Input.dispatchMouseEvent",
            **{"type": kind, "x": place[0], "y": place[1], "button": "left"},
            **{"buttons": buttons, "clickCount": 1},
        )

    def _call(self, method: str, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to_write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            if answer.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(answer["params"]["exceptionDetails"])[:2000])
            if answer.get("method") == "Runtime.consoleAPICalled":
                self.errors.append(json.dumps(answer["params"]["args"])[:2000])

    def _next(self):
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._from_read], [], [], 60)
            read = os.read(self._from_read, 1 << 20) if ready else b""
            assert read, "the browser does not answer"
            self._received += read
        text, _, self._received = self._received.partition(b"\0")
        return json.loads(text)
