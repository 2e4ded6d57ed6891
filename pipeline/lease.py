"""A claim on work that takes minutes, which neither a killed process nor a dead node keeps.

Whoever works on a result holds a small lease beside it and renews it every few seconds. Others wait
for the result, or take the lease over once it has not been renewed for a minute; that of a process
which ended on the same machine at once. Ages are told by the clock of the file server alone.

A process that was stopped for longer than the minute may find that its lease is somebody else's.
Then two do the same work, and both give the same whole file: a lease saves work, and nothing that
is correct depends on it.
"""

import hashlib
import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from pipeline.atomic import explained, has_ended, machine, replacing
from pipeline.errors import PipelineError

BEAT_S = 10.0
EXPIRED_S = 60.0
POLL_S = 0.5


class Held(NamedTuple):
    """A lease as somebody finds it.

    Attributes:
        text: Who holds it; no two claims have the same.
        age_s: Since it was renewed.
    """

    text: str
    age_s: float


class Place(Protocol):
    """Where a lease lies. Each of these does all or nothing, whoever else does it meanwhile."""

    def create(self, text: str) -> bool:
        """Lay down a lease where there is none; False where there is one."""

    def read(self) -> Held | None:
        """The lease that lies here."""

    def renew(self, text: str) -> None:
        """Make it new again, if it is still the one with this text."""

    def replace(self, old: str, new: str) -> bool:
        """Put another in its place, if it is still the one with the old text."""

    def remove(self, text: str) -> None:
        """Take it away, if it is still the one with this text."""


@contextmanager
def leased(place: Place, work: str) -> Iterator[None]:
    """Hold a lease for the time of the block; wait for it where somebody else has it.

    Args:
        place: Where it lies.
        work: What is claimed, for the line that says who is waited for.
    """
    mine = json.dumps(
        {
            "machine": machine(),
            "host": socket.gethostname(),
            "process": os.getpid(),
            "claim": secrets.token_hex(8),
        }
    )
    said = False
    while (holder := _claim(place, mine)) is not None:
        if holder and not said:
            print(f"store: {holder} makes {work}; waiting for it", file=sys.stderr, flush=True)
            said = True
        time.sleep(POLL_S)
    ended = threading.Event()
    beat = threading.Thread(target=_renew, args=(place, mine, ended), daemon=True)
    beat.start()
    try:
        yield
    finally:
        ended.set()
        beat.join()
        place.remove(mine)


def _claim(place: Place, mine: str) -> str | None:
    """Who holds the lease, in words; None: this process does, from now on."""
    if place.create(mine):
        return None
    held = place.read()
    if held is None:
        return ""  # given back between the two calls
    if held.text == mine:
        return None  # created by a call whose answer was lost
    if _is_dead(held) and place.replace(held.text, mine):
        return None
    return _words(held)


def _is_dead(held: Held) -> bool:
    if held.age_s > EXPIRED_S:
        return True
    holder = _holder(held)
    return holder.get("machine") == machine() and has_ended(int(holder["process"]))


def _words(held: Held) -> str:
    holder = _holder(held)
    if not holder:
        return "another process"
    return f"process {holder['process']} on {holder['host']}"


def _holder(held: Held) -> dict[str, str]:
    """What a lease says of its holder; nothing where it is just being written."""
    try:
        return dict(json.loads(held.text))
    except ValueError:
        return {}


def _renew(place: Place, mine: str, ended: threading.Event) -> None:
    while not ended.wait(BEAT_S):
        # A network that is away for a moment costs the lease only if it stays away.
        with suppress(OSError, PipelineError):
            place.renew(mine)


class LeaseFile:
    """A lease as a file beside the result, on a disk that nodes may share.

    Exclusive creation and renaming are all that it takes of the file system; NFS has both. Whoever
    takes over or removes a lease holds a ticket to this very lease meanwhile, so that it cannot
    take away the next one.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self, text: str) -> bool:
        """As Place."""
        with explained(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return _created(self._path, text)

    def read(self) -> Held | None:
        """As Place."""
        try:
            # Opened, because a network file system then asks its server how old the file is.
            with self._path.open(encoding="utf-8") as file:
                renewed = os.fstat(file.fileno()).st_mtime
                return Held(file.read(), self._now() - renewed)
        except FileNotFoundError:
            return None

    def renew(self, text: str) -> None:
        """As Place."""
        if self._text() == text:
            os.utime(self._path)

    def replace(self, old: str, new: str) -> bool:
        """As Place."""
        with self._sole(old) as still:
            if still:
                with replacing(self._path) as partial:
                    partial.write_text(new, encoding="utf-8")
            return still

    def remove(self, text: str) -> None:
        """As Place."""
        # One that cannot be removed expires.
        with suppress(OSError, PipelineError), self._sole(text) as still:
            if still:
                self._path.unlink()

    @contextmanager
    def _sole(self, text: str) -> Iterator[bool]:
        """Be the only one to change the lease with this text; False where it is another's."""
        tickets = self._drawn(text)
        try:
            yield bool(tickets) and self._text() == text
        finally:
            # Those of killed processes go when the lease is another one: if they went before, two
            # could draw the same number.
            for ticket in tickets if self._text() != text else tickets[-1:]:
                ticket.unlink(missing_ok=True)

    def _drawn(self, text: str) -> list[Path]:
        """A ticket to the lease with this text, behind those of killed processes; [] without one.

        A ticket is held for a moment only, unless its holder is killed in that moment.
        """
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        tickets: list[Path] = []
        while not tickets or self._has_expired(tickets[-1]):
            number = f".{len(tickets)}" if tickets else ""
            tickets.append(self._path.with_name(f"{self._path.name}.{digest}{number}.lease"))
            if _created(tickets[-1], ""):
                return tickets
        return []

    def _has_expired(self, ticket: Path) -> bool:
        with suppress(FileNotFoundError):
            return self._now() - ticket.stat().st_mtime > EXPIRED_S
        return False

    def _now(self) -> float:
        """The time on the server's clock, which need not be this machine's."""
        probe = self._path.with_name(f"{self._path.name}.{secrets.token_hex(8)}.lease")
        with explained(probe), probe.open("x") as file:
            now = os.fstat(file.fileno()).st_mtime
        probe.unlink(missing_ok=True)
        return now

    def _text(self) -> str | None:
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None


def _created(path: Path, text: str) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            # For all who may use the folder, whatever the umask: they have to see whose it is.
            path.chmod(path.parent.stat().st_mode & 0o666)
            file.write(text)
    except FileExistsError:
        return False
    except OSError:
        # A full disk may still have room for a name; without its text nobody could tell whose.
        with suppress(OSError):
            path.unlink()
        raise
    return True
