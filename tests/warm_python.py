"""`python` and `dvc` as commands that start with the heavy libraries already loaded.

A stage spends most of a small test on importing torch and what comes with it. `warm_python` starts
one process that has imported them; its two commands hand their arguments, folder, environment and
streams to that process, which forks for each of them. The pipeline itself is never imported before
the fork, so that every command reads the code of the folder it runs in, as always.
"""

import atexit
import gc
import importlib
import json
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import NoReturn

# Started for every command: without site-packages, it is there in a few hundredths of a second.
_COMMAND = """#!{python} -IS
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = json.dumps([{first!r} + sys.argv[1:], os.getcwd(), dict(os.environ)]).encode() + b"\\n"
socket.send_fds(server, [request[:1]], [0, 1, 2])
server.sendall(request[1:])
sys.exit(int(server.recv(8) or 1))
"""


@contextmanager
def warm_python() -> Iterator[Path]:
    """The folder with the commands, to stand first in PATH; they end with the block."""
    # Not below pytest's folder: the address of a socket may have some hundred characters only.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for command, first in (("python", []), ("dvc", ["-m", "dvc"])):
            file = folder / command
            file.write_text(
                _COMMAND.format(python=sys.executable, address=f"{name}/socket", first=first)
            )
            file.chmod(0o755)
        server = subprocess.Popen(
            [sys.executable, __file__, f"{name}/socket"], stdout=subprocess.PIPE
        )
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield folder
        server.terminate()
        server.wait()
        server.stdout.close()


def _serve(address: str) -> None:
    """Fork for each connection; returns in the process that is to run the command."""
    _preload()
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
    print("ready", flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = server.accept()
        if os.fork() == 0:
            break
        connection.close()
    server.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, streams, *_ = socket.recv_fds(connection, 1, 3)
    while not request.endswith(b"\n"):
        request += connection.recv(1 << 16)
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        connection.sendall(b"%d" % max(os.waitstatus_to_exitcode(status), -1))
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    arguments, folder, environment = json.loads(request)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    _end(_exit_code(arguments))


def _exit_code(arguments: list[str]) -> int:
    """Run the command; the code with which Python would end, after printing what it would."""
    try:
        _become(arguments)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _end(code: int) -> NoReturn:
    """End as Python does, but free no object: that would copy every page of the libraries."""
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 120  # as Python does
    os._exit(code)


def _become(arguments: list[str]) -> None:
    """Run as `python -m module ...` does; no other way of starting is used here."""
    option, module, *rest = arguments
    assert option == "-m", arguments
    # What a stage would spawn imports the libraries anew; here it is forked, and has them.
    multiprocessing.get_context = partial(_forked, multiprocessing.get_context)
    sys.argv = [module, *rest]
    sys.path[0] = os.getcwd()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _forked(
    get_context: Callable[[str | None], BaseContext], method: str | None = None
) -> BaseContext:
    return get_context("fork" if method == "spawn" else method)


def _preload() -> None:
    """What the stages and DVC import of others, directly or within a function."""
    for name in (
        *("av", "cv2", "dvclive", "h5py", "jinja2", "rich.progress", "ruamel.yaml", "typer"),
        *("joblib", "numpy.ctypeslib", "pandas.io.formats.csvs", "safetensors.torch", "yaml"),
        *("matplotlib.pyplot", "matplotlib.backends.backend_agg", "PIL.features"),
        *("PIL.JpegImagePlugin", "PIL.PngImagePlugin", "concurrent.futures.process"),
        *("pydantic.main", "pydantic.type_adapter", "pydantic.json_schema"),
        *("torch.utils.mkldnn", "torch.utils.data", "torchvision.transforms.v2"),
        # DVC and others import much of themselves within functions.
        *("dvc.cli.parser", "dvc.cli.command", "dvc.analytics", "dvc.cachemgr", "dvc.data_cloud"),
        *("dvc.dependency", "dvc.lock", "dvc.repo.index", "dvc.repo.graph", "dvc.repo.reproduce"),
        *("dvc.repo.experiments.run", "dvc.repo.experiments.queue.celery", "dvc.repo.metrics.diff"),
        *("dvc.repo.push", "dvc.repo.pull", "dvc.repo.checkout", "dvc.rwlock", "dvc.scm"),
        *("dvc.compare", "dvc_data.hashfile.transfer", "dulwich.porcelain", "networkx"),
    ):
        importlib.import_module(name)
    # Objects that are never looked at again stay in pages that the forks have in common.
    gc.freeze()


if __name__ == "__main__":
    _serve(sys.argv[1])
