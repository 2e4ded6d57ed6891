"""Writers that are killed at random, on one store: no file torn, no result made twice at once.

    python benchmarks/store_torture.py --minutes 3
    python benchmarks/store_torture.py --minutes 3 --bucket    # S3, by a server on this machine

Several processes make the same results and are killed with SIGKILL while they do. Half of them pass
for other machines, whose dead processes nobody can see: their leases have to expire. In the end one
last process makes what is missing. Then all that was written down is checked.
"""

import argparse
import hashlib
import itertools
import multiprocessing
import os
import random
import tempfile
import threading
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from pipeline import atomic, lease
from pipeline.atomic import replacing
from pipeline.result_store import Store, claimed, fingerprint, is_whole

_BLOCK = 6
_CHUNKS = 8
_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def content(number: int) -> list[bytes]:
    """The parts of a result, the same for everybody."""
    return [hashlib.sha256(f"{number} {part}".encode()).digest() * 1000 for part in range(_CHUNKS)]


def _path(store: Store, number: int) -> Path:
    return store.path(fingerprint(number=number))


def make(number: int, log: int, store: Store) -> None:
    """Make a result that nobody else makes, or look at the one that is there; write down which."""

    def note(event: str) -> None:
        os.write(log, f"{event} {number} {time.monotonic()}\n".encode())

    path = _path(store, number)
    with claimed(path) as missing:
        if missing:
            note("begin")
            with replacing(path) as partial, partial.open("wb") as file:
                for part in content(number):
                    file.write(part)
                    time.sleep(random.uniform(0, 0.03))
            note("end")
    note("done" if missing else "found")
    if path.read_bytes() != b"".join(content(number)):
        note("torn")


def write(folder: Path, host: int, logs: Path, expired_s: float, last: int | None) -> None:
    """Make results until killed, or the first ones up to and without `last`.

    Args:
        folder: The project.
        host: Number of the machine that this process passes for; 0: the real one.
        logs: Folder of what the writers write down.
        expired_s: Of leases.
        last: None: go on forever.
    """
    os.chdir(folder)
    os.dup2(os.open(logs.parent / "said", os.O_CREAT | os.O_WRONLY | os.O_APPEND), 2)
    lease.EXPIRED_S, lease.BEAT_S, lease.POLL_S = expired_s, expired_s / 10, 0.05
    if host:
        atomic.machine = lease.machine = lambda: f"{host:08x}"
    log = os.open(logs / str(os.getpid()), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    store = Store("frames")
    for block in itertools.count() if last is None else range(-(-last // _BLOCK)):
        numbers = list(range(block * _BLOCK, (block + 1) * _BLOCK))
        random.shuffle(numbers)
        for number in numbers:
            make(number, log, store)


def torture(root: Path, url: str, seconds: float, writers: int, expired_s: float) -> str:
    """Run and kill writers, then check; a line of result.

    Raises:
        AssertionError: With what went wrong.
    """
    shared, logs = root / "shared", root / "logs"
    folders = [root / f"host{number}" for number in range(writers)]
    for folder in (shared, logs, *folders):
        folder.mkdir()
    for folder in folders:
        (folder / "params.yaml").write_text(f"runtime: {{store: {url or shared}}}\n")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline.result_store", "s3fs", "aiobotocore.session"])
    killed: dict[int, float] = {}
    running: dict[int, ForkServerProcess] = {}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for host in set(range(writers)) - running.keys():
            running[host] = _started(context, folders[host], host // 2, logs, expired_s, None)
        time.sleep(random.uniform(0.1, 1.0))
        _kill(running.pop(random.choice(list(running))), killed, root)
    for process in running.values():
        _kill(process, killed, root)
    made = _events(logs)
    last = max((number for number, _, _ in made["begin"]), default=-1) + 1
    # A shell that never ran here before: its own leases are nobody's.
    final = _started(context, folders[0], writers, logs, expired_s, last)
    final.join()
    assert final.exitcode == 0, _said(root)
    return _checked(folders[0], logs, killed, last)


def _started(
    context: ForkServerContext,
    folder: Path,
    host: int,
    logs: Path,
    expired_s: float,
    last: int | None,
) -> ForkServerProcess:
    process = context.Process(target=write, args=(folder, host, logs, expired_s, last))
    process.start()
    return process


def _kill(process: ForkServerProcess, killed: dict[int, float], root: Path) -> None:
    assert process.pid is not None and process.is_alive(), _said(root)
    killed[process.pid] = time.monotonic()
    process.kill()
    process.join()


def _said(root: Path) -> str:
    return "a writer ended by itself: " + (root / "said").read_text()[-3000:]


def _events(logs: Path) -> dict[str, list[tuple[int, float, int]]]:
    """By kind: results, times and writers."""
    found: dict[str, list[tuple[int, float, int]]] = defaultdict(list)
    for file in logs.iterdir():
        for line in file.read_text().splitlines():
            event, number, when = line.split()
            found[event].append((int(number), float(when), int(file.name)))
    return found


def _checked(folder: Path, logs: Path, killed: dict[int, float], last: int) -> str:
    events = _events(logs)
    assert not events["torn"], f"torn: {events['torn']}"
    ends = {(number, writer): when for number, when, writer in events["end"]}
    spans = defaultdict(list)
    for number, begin, writer in events["begin"]:
        spans[number].append((begin, ends.get((number, writer), killed.get(writer)), writer))
    for number, found in spans.items():
        found.sort()
        for (_, end, first), (begin, _, second) in itertools.pairwise(found):
            assert end is not None and end <= begin, (
                f"{number}: {first} until {end} and {second} from {begin}: {found}"
            )
    done = Counter(number for number, _, _ in events["done"])
    twice = [number for number, count in done.items() if count > 1]
    assert not twice, f"made again though finished: {twice}"
    os.chdir(folder)
    store = Store("frames")
    for number in range(last):
        path = _path(store, number)
        assert is_whole(path) and path.read_bytes() == b"".join(content(number)), f"{path}: torn"
    begun = len(events["begin"])
    return f"{last} results whole, {begun} begun, {len(killed)} writers killed"


def _server(stack: ExitStack) -> str:
    """Start an S3 server on this machine; the URL of an empty bucket."""
    import s3fs
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: object) -> None:
            pass

    # One request at a time: a condition is checked and the object put in one step, as S3 does.
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=False, request_handler=Quiet)
    stack.callback(server.shutdown)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ.update(_KEYS, AWS_ENDPOINT_URL=f"http://127.0.0.1:{server.port}")
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir("torture")
    return "s3://torture/store"


def main() -> None:
    """Read the arguments, run, print the line of result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--expired-s", type=float, default=4, help="of leases; 60 in real life")
    parser.add_argument("--bucket", action="store_true", help="S3 in place of a folder")
    parser.add_argument("--folder", type=Path, help="on the disk to try; else a temporary one")
    options = parser.parse_args()
    with ExitStack() as stack:
        url = _server(stack) if options.bucket else ""
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        seconds = 60 * options.minutes
        print(torture(root, url, seconds, options.writers, options.expired_s))
        os.chdir("/")


if __name__ == "__main__":
    main()
