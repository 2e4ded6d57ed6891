"""One store for several machines: a folder or a bucket, leases, checksums, and who may write."""

import errno
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors import SafetensorError

from pipeline import lease
from pipeline.atomic import replacing, write_text
from pipeline.errors import PipelineError
from pipeline.lease import LeaseFile, leased
from pipeline.result_store import Store, claimed, fingerprint, spread, store_root
from pipeline.runtime import RuntimeParams
from pipeline.settings import check_section
from pipeline.store_care import describe, prune

ROOT = Path(__file__).parents[1]
NAME = fingerprint(result=1)
_AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A function that makes one more clone of a project the current folder; each has its store."""

    def change_to(name: str, store: str = "") -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "params.yaml").write_text(f"runtime: {{store: '{store}'}}\n")
        monkeypatch.chdir(folder)
        monkeypatch.setenv("DVC_ROOT", str(folder))
        return folder

    return change_to


@pytest.fixture(scope="module")
def server():
    """The address of an S3 server of this process, on loopback."""
    moto = pytest.importorskip("moto.server", reason="the extra dev is not installed")
    running = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def bucket(server, monkeypatch, request):
    """The URL of a prefix in an empty bucket."""
    import s3fs

    for name, value in (_AWS | {"AWS_ENDPOINT_URL": server}).items():
        monkeypatch.setenv(name, value)
    name = f"bucket{abs(hash(request.node.name))}"
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir(name)
    return f"s3://{name}/lab/store"


def make(kind: str = "features", text: str = "whole") -> bool:
    """Make the result, if it is missing; whether it was."""
    path = Store(kind).path(NAME)
    with claimed(path) as missing:
        if missing:
            write_text(path, text)
    return missing


def test_what_one_clone_made_the_others_find_in_the_shared_folder(clone, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    clone("a", str(shared))
    assert make() and not make()
    clone("b", "../shared")  # as a path from the project
    assert Store("features").has(NAME)
    assert not make()
    assert not store_root().exists()
    assert "features        1 files  5 B" in describe()


def test_results_of_before_move_to_the_shared_folder_as_they_are_used(clone, tmp_path):
    (tmp_path / "shared").mkdir()
    folder = clone("a")
    write_text(folder / f".store/features/{NAME}.h5", "of an earlier version")  # no checksum
    assert Store("features").has(NAME)
    clone("a", str(tmp_path / "shared"))
    assert not make()
    clone("b", str(tmp_path / "shared"))
    assert Store("features").path(NAME).read_text() == "of an earlier version"


def test_a_result_with_other_bytes_than_were_written_is_made_again(clone, capfd):
    folder = clone("a")
    assert make(text="right")
    path = folder / f".store/features/{NAME}.h5"
    path.write_text("wrong")
    assert not Store("features").has(NAME)
    assert make(text="right")
    assert "its bytes are not those that were written; making it again" in capfd.readouterr().err
    assert Store("features").has(NAME) and path.read_text() == "right"


def test_checksums_are_read_by_sha256sum_and_go_with_their_results(clone):
    folder = clone("a") / ".store/features"
    make()
    command = ["sha256sum", "-c", f"{NAME}.h5.sha256"]
    assert subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode == 0
    assert sorted(path.suffix for path in folder.iterdir()) == [".h5", ".sha256"]
    assert prune(0) == "removed 1 files, 5 B"
    assert not list(folder.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_who_may_write_the_shared_folder_may_write_what_is_in_it(clone, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2775)
    clone("a", str(shared))
    before = os.umask(0o077)
    try:
        make()
        with claimed(Store("features").path("0" * 64)):
            (lease,) = shared.glob("*/*.lease")
            # Who waits for this user reads whose it is.
            assert stat.S_IMODE(lease.stat().st_mode) == 0o664
    finally:
        os.umask(before)
    modes = {path.name[64:]: stat.S_IMODE(path.stat().st_mode) for path in shared.glob("*/*")}
    assert modes == {".h5": 0o664, ".h5.sha256": 0o664}
    assert stat.S_IMODE((shared / "features").stat().st_mode) == 0o2775


@contextmanager
def somebody_else():
    """Without root's rights, where the tests have them."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has other permissions")
def test_a_folder_of_somebody_else_is_named_with_the_way_out(clone, tmp_path):
    shared = tmp_path / "shared"
    (shared / "features").mkdir(parents=True)
    clone("a", str(shared))
    make("features")
    for folder in (shared / "features", shared):
        folder.chmod(0o555)
    for parent in (tmp_path, *tmp_path.parents):  # pytest makes them for its user alone
        if parent == Path(tempfile.gettempdir()):
            break
        parent.chmod(0o755)
    with somebody_else():
        assert Store("features").used(NAME).read_text() == "whole"
        for kind in ("features", "frames"):
            path = Store(kind).path("0" * 64)
            with pytest.raises(PipelineError, match=r"may not .*chmod g\+ws"), claimed(path):
                pytest.fail("claimed in a folder of somebody else")
    shared.chmod(0o755)


def test_a_file_that_cannot_be_read_is_not_taken_for_the_one_that_is_written(tmp_path):
    video = tmp_path / "elsewhere" / "video.mp4"
    with pytest.raises(PermissionError), replacing(tmp_path / "frames.h5"):
        raise PermissionError(errno.EACCES, "Permission denied", str(video))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
    ids=["disk", "quota", "safetensors"],
)
def test_a_full_disk_is_one_line_and_keeps_what_was_finished(clone, error):
    folder = clone("a")
    make("frames")
    path, said = Store("features").path(NAME), r"no space left .* What was finished is kept"
    with pytest.raises(PipelineError, match=said), claimed(path), replacing(path) as partial:
        partial.write_text("half")
        raise error
    assert not list((folder / ".store/features").iterdir())
    assert Store("frames").has(NAME)


def test_writers_of_the_same_file_share_no_temporary_one(tmp_path):
    with replacing(tmp_path / "a") as first, replacing(tmp_path / "a") as second:
        assert first != second
        first.touch()
        second.touch()


@pytest.mark.parametrize(
    ("value", "said"),
    [("gs://bucket", "Allowed: a folder"), ("s3://", "Allowed"), (1, "valid string")],
)
def test_a_store_that_cannot_be_is_refused(value, said):
    with pytest.raises(PipelineError, match=rf"runtime\.store: found .*{said}"):
        check_section(RuntimeParams, "runtime", {"store": value})


def test_a_shared_folder_that_is_not_mounted_is_not_made(clone):
    clone("a", "/not/mounted/store")
    with pytest.raises(PipelineError, match=r"runtime\.store: found /not/mounted/store.*Mount"):
        Store("features")


@pytest.fixture
def quick(monkeypatch):
    """Leases that expire after two seconds."""
    monkeypatch.setattr(lease, "EXPIRED_S", 2.0)
    monkeypatch.setattr(lease, "BEAT_S", 0.2)
    monkeypatch.setattr(lease, "POLL_S", 0.02)


def places(tmp_path, bucket):
    from pipeline.object_store import Bucket

    path = tmp_path / "features" / f"{NAME}.h5"
    yield lambda: LeaseFile(path.with_suffix(".lease"))
    opened = Bucket(bucket)
    yield lambda: opened.lease(path)


def test_of_many_who_wait_for_a_dead_node_one_takes_over(tmp_path, bucket, quick, capfd):
    for place in places(tmp_path, bucket):
        dead = '{"machine": "0000dead", "host": "node7", "process": 5, "claim": "1"}'
        assert place().create(dead)
        began, inside, most = time.monotonic(), [], []

        def work(place=place, inside=inside, most=most):
            with leased(place(), "a result"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.1)
                inside.pop()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == [1, 1, 1, 1]
        assert time.monotonic() - began >= 1  # S3 tells ages in whole seconds
        assert place().read() is None
        assert "process 5 on node7 makes a result; waiting for it" in capfd.readouterr().err


def test_a_lease_is_taken_over_from_one_who_was_killed_while_taking_it_over(tmp_path, quick):
    place, other = LeaseFile(tmp_path / "lease"), LeaseFile(tmp_path / "lease")
    assert place.create("dead")
    with place._sole("dead"):
        (ticket,) = set(tmp_path.iterdir()) - {tmp_path / "lease"}
        assert not other.replace("dead", "other")
    ticket.touch()  # as if killed in the midst of it
    os.utime(ticket, (0, 0))
    with place._sole("dead") as still:
        assert still and not other.replace("dead", "other")
    assert other.replace("dead", "other")
    assert [path.name for path in tmp_path.iterdir()] == ["lease"]


def test_a_lease_that_became_somebody_elses_stays_theirs(tmp_path, bucket):
    for place in places(tmp_path, bucket):
        assert place().create("mine") and not place().create("theirs")
        assert place().replace("mine", "theirs")
        place().renew("mine")
        place().remove("mine")
        assert not place().replace("mine", "mine again")
        assert place().read().text == "theirs"
        place().remove("theirs")
        assert place().read() is None and not place().replace("theirs", "mine")


def test_what_one_clone_made_the_others_fetch_from_the_bucket(clone, bucket):
    folder = clone("a")
    write_text(folder / f".store/frames/{NAME}.h5", "of before")
    clone("a", bucket)
    assert make() and not make() and not make("frames")
    clone("b", bucket)
    assert Store("features").has(NAME) and not make("frames")
    assert Store("frames").path(NAME).read_text() == "of before"
    prune(0)
    assert not list(store_root().glob("*/*"))
    assert Store("features").has(NAME)


def test_an_object_with_other_bytes_than_were_uploaded_is_made_again(clone, bucket):
    import s3fs

    clone("a", bucket)
    make()
    files = s3fs.S3FileSystem(skip_instance_cache=True)
    (key,) = files.glob(f"{bucket}/features/*.h5")
    files.pipe_file(key, b"wrong", Metadata=files.metadata(key))
    clone("b", bucket)
    assert not Store("features").has(NAME)
    assert make() and files.cat_file(key) == b"whole"


def test_what_is_wrong_with_a_bucket_is_one_line_with_the_way_out(clone, bucket, monkeypatch):
    def said(store: str) -> str:
        clone("a", f"{store}/{time.monotonic_ns()}")  # opened anew, with these credentials
        with pytest.raises(PipelineError) as caught:
            make()
        return str(caught.value)

    assert "there is no such bucket" in said("s3://none")
    with monkeypatch.context() as patched:
        patched.delenv("AWS_ACCESS_KEY_ID")
        patched.setenv("AWS_SHARED_CREDENTIALS_FILE", "/none")
        patched.setenv("AWS_CONFIG_FILE", "/none")
        assert "no credentials. Set AWS_ACCESS_KEY_ID" in said(bucket)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert "does not answer" in said(bucket)


def test_work_begins_apart_from_others_who_are_at_it(clone):
    clone("a")
    paths = [Store("features").path(fingerprint(video=number)) for number in range(40)]
    assert spread(paths, lambda path: path) == paths
    with claimed(paths[7]):
        mixed = spread(paths, lambda path: path)
        assert mixed != paths and sorted(mixed) == sorted(paths)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="clocks of other systems differ")
def test_writers_killed_at_random_leave_nothing_torn_and_make_nothing_twice(tmp_path):
    """In a folder and in a bucket: at the same time, since both mostly wait."""
    script = [sys.executable, str(ROOT / "benchmarks/store_torture.py"), "--minutes", "0.07"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    running = [
        subprocess.Popen(
            [*script, "--folder", str(tmp_path), *options],
            env=environment | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for options in ((), ("--bucket",))
    ]
    for process in running:
        said, complaint = process.communicate()
        assert process.returncode == 0, complaint
        assert "results whole" in said
