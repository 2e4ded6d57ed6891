"""Headless Chromium: a page's document after its scripts ran, and what its console said."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def document(page: Path, profile: Path, script: str = "", width: int = 1200) -> tuple[str, str]:
    """The serialised document of a page and the lines of its console.

    Args:
        page: An HTML file.
        profile: Empty folder for the browser.
        script: Runs at the end of the page, in a copy of it.
        width: Of the window in CSS pixels; at least 500, smaller ones Chromium widens.
    """
    browser = next((found for name in NAMES if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine: the page was not opened")
    copy = profile / "page.html"
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    result = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--enable-logging=stderr", "--dump-dom", f"--window-size={width},900"),
            *("--allow-file-access-from-files", f"--user-data-dir={profile / 'user'}"),
            copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    console = re.findall(r"CONSOLE.*", result.stderr)
    return result.stdout, "\n".join(console)


class _Keyed(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._open: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = dict(attrs).get("data-key") or self._open

    def handle_data(self, data: str) -> None:
        if self._open:
            self.found[self._open] = self.found.get(self._open, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._open = None


def keyed_texts(html: str) -> dict[str, str]:
    """The texts of all elements with a data-key, by that key."""
    parser = _Keyed()
    parser.feed(html)
    return parser.found
