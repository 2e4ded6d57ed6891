"""Items on a cluster of Ray, whose nodes are processes of this machine."""

import shutil
import socket
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import remote_functions
from elsewhere_project import TrainsHere, check_frames, check_interrupt, check_training
from features_project import add_video, forget, hashes, make_project
from folds_project import make_project as make_folds
from tiny_models import make_models
from videos import write_video

from pipeline.errors import PipelineError
from pipeline.executors import worker
from pipeline.executors.elsewhere import done_elsewhere
from pipeline.features import elsewhere
from pipeline.features import stage as features_stage
from pipeline.frames import stage as frames_stage
from pipeline.predict.command import Request, predict_videos
from pipeline.progress import Progress
from pipeline.runtime import Needs, RuntimeParams, read_runtime
from pipeline.tune.elsewhere import Elsewhere
from pipeline.tune.space import read_space
from pipeline.tune.study import Search, counted, open_study, run_trials

pytest.importorskip("ray")
ROOT = Path(__file__).parents[2]
SMALL = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
# A node that is killed is missed within two seconds instead of half a minute.
ALERT = {"health_check_period_ms": 500, "health_check_failure_threshold": 3}


@pytest.fixture(scope="module")
def cluster():
    """Two nodes with a processor each; the driver is on the first one."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests/executors'}")
        # By itself Ray gives way to everybody else, such as the other processes of the tests.
        patch.setenv("RAY_worker_niceness", "0")
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": ALERT, **SMALL}
        )
        cluster.add_node(num_cpus=1, **SMALL)
        yield cluster
        cluster.shutdown()


def on(cluster, needs=None):
    return RuntimeParams(
        executor="ray", address=cluster.address, task=needs or Needs(memory_gb=0.1), progress="none"
    )


def ended(function, items, runtime, said=None):
    """Each item with its result or its error."""
    found = {}
    for item, give in done_elsewhere(
        function, items, runtime.task, runtime, (said if said is not None else []).append
    ):
        try:
            found[item] = give()
        except PipelineError as error:
            found[item] = error
    return found


def test_results_errors_and_lines_come_back(cluster):
    said = []
    found = ended(remote_functions.squared, range(1, 6), on(cluster), said)
    assert str(found.pop(3)) == "3: found an odd number"
    assert found == {1: 1, 2: 4, 4: 16, 5: 25}
    assert sorted(said) == [f"squaring {number}" for number in range(1, 6)]


def test_an_item_whose_worker_dies_is_done_again(cluster, workplace):
    Path("tries").mkdir()
    assert ended(remote_functions.dying, ["tries"], on(cluster)) == {"tries": "done"}


def test_an_item_that_always_kills_its_worker_is_named_after_the_others(cluster, workplace):
    Path("tries").mkdir()
    runtime, found = on(cluster), []
    with pytest.raises(PipelineError, match=r"1 of 1 items lost their worker.*\n  tries: .*"):
        for item, _ in done_elsewhere(
            remote_functions.dying_always, ["tries"], runtime.task, runtime, found.append
        ):
            found.append(item)
    assert found == []
    assert len(list(Path("tries").iterdir())) == 4


def test_a_run_that_is_cancelled_ends_its_items(cluster, workplace):
    import ray

    Path("begun").mkdir()
    runtime = on(cluster)
    results = done_elsewhere(
        remote_functions.noted_then_quick, ["begun"] * 6, runtime.task, runtime, print
    )
    next(results)
    results.close()
    assert not ray.is_initialized()
    count = len(list(Path("begun").iterdir()))
    assert count < 6
    time.sleep(2)
    assert len(list(Path("begun").iterdir())) == count


def test_ctrl_c_ends_the_stage_and_its_tasks_and_keeps_what_is_finished(
    cluster, workplace, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests/executors'}")
    check_interrupt(f"  executor: ray\n  address: {cluster.address}\n  task: {{memory_gb: 0.1}}\n")


def test_a_worker_with_another_torch_is_refused(cluster, monkeypatch):
    other = worker.versions() | {"torch": "1.0"}
    monkeypatch.setattr(worker, "versions", lambda: other)
    with pytest.raises(PipelineError, match=r"worker on .*: found torch .*, but here it is 1\.0"):
        ended(remote_functions.squared, [1], on(cluster))


@pytest.fixture
def silent():
    """An address at which nothing answers."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{unused.getsockname()[1]}"


def test_an_address_that_does_not_answer_is_named_in_a_line(silent):
    runtime = RuntimeParams(executor="ray", address=silent)
    with pytest.raises(PipelineError, match=rf"^params\.yaml: runtime\.address: .* at {silent}"):
        ended(remote_functions.squared, [1], runtime)


def test_predict_names_its_option_where_no_cluster_answers(workplace, silent):
    make_models()
    write_video(Path("op.mp4"), 5, fps=5)
    runtime = RuntimeParams(executor="ray", address=silent)
    with pytest.raises(PipelineError, match=rf"^--address: nothing answers at {silent}"):
        predict_videos(["op.mp4"], Request(Path("models"), Path("out"), runtime=runtime))


@pytest.mark.parametrize("address", ["auto", "ray://head:10001", "head"])
def test_an_address_without_host_and_port_is_refused(workplace, address):
    Path("params.yaml").write_text(f"runtime: {{executor: ray, address: '{address}'}}\n")
    with pytest.raises(PipelineError, match=r"runtime\.address: found"):
        read_runtime()


@pytest.fixture(scope="module")
def connected(cluster):
    """The cluster with this process as its driver: workers import torch once. Of the last tests."""
    import ray

    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()


@pytest.mark.slow
def test_features_have_the_bytes_of_a_local_run_though_a_node_dies(
    connected, workplace, monkeypatch
):
    cluster = connected
    make_project(workplace)
    for number in range(2, 8):
        add_video(workplace, f"video{number}", 8, number)
    features_stage.run()
    local = hashes(workplace / "features/videos")
    forget(workplace)
    shutil.rmtree(workplace / "features/videos")
    with Path("params.yaml").open("a") as params:
        params.write(f"  executor: ray\n  address: {cluster.address}\n")
        params.write("  task: {memory_gb: 0.1}\n")
    monkeypatch.setattr(elsewhere, "_write", remote_functions.counted_features)
    (going,) = cluster.worker_nodes
    replaced = []

    def replace_the_node(progress, name, note=""):
        """After the node has done a video and begun another."""
        if not replaced and len(on_node("done", going)) >= 1:
            deadline = time.monotonic() + 10
            while len(on_node("begun", going)) == len(on_node("done", going)):
                assert time.monotonic() < deadline, "the node begins no other video"
                time.sleep(0.02)
            cluster.remove_node(going, allow_graceful=False)
            replaced.append(cluster.add_node(num_cpus=1, **SMALL))

    monkeypatch.setattr(Progress, "step", replace_the_node)
    assert "8 videos, 8 computed" in features_stage.run()
    assert replaced
    assert hashes(workplace / "features/videos") == local
    assert 8 <= len(list(Path("begun").iterdir())) <= 8 + 1


def on_node(folder, node):
    return list(Path(folder).glob(f"*+{node.node_id}+*"))


def test_two_items_of_half_a_gpu_share_one_at_the_same_time(connected, workplace):
    Path("begun").mkdir()
    # A GPU for Ray alone: it is counted and named, and no driver is asked.
    node = connected.add_node(num_cpus=2, num_gpus=1, **SMALL)
    runtime = on(connected, Needs(gpus=0.5, memory_gb=0.1))
    found = [
        give()
        for _, give in done_elsewhere(
            remote_functions.seen_gpu, ["begun"] * 2, runtime.task, runtime, print
        )
    ]
    connected.remove_node(node)
    assert found == [("0", 0.5, 2)] * 2


@pytest.mark.slow
def test_trainings_have_the_bytes_of_a_local_run(connected, workplace):
    check_training(f"  executor: ray\n  address: {connected.address}\n  task: {{memory_gb: 0.1}}\n")


@pytest.mark.slow
def test_frames_have_the_bytes_of_a_local_run_though_a_worker_is_killed(
    connected, workplace, monkeypatch
):
    monkeypatch.setattr(frames_stage, "write_container", remote_functions.frames_killed_once)
    check_frames(f"  executor: ray\n  address: {connected.address}\n  task: {{memory_gb: 0.1}}\n")
    assert Path("killed").exists()


def test_videos_are_predicted_with_the_bytes_of_a_local_run(connected, workplace):
    make_models()
    for name in ("a", "b", "damaged"):
        write_video(Path(f"op/{name}.mp4"), 25, fps=5)
    Path("op/damaged.mp4").write_bytes(b"nothing")
    here, there = Request(Path("models"), Path("here"), device="cpu", jobs=1), Path("there")
    for request in (here, replace(here, out=there, runtime=on(connected))):
        with pytest.raises(PipelineError, match=r"1 of 3 videos failed.*\n  damaged: "):
            predict_videos(["op"], request)
    written = {path.name: path.read_bytes() for path in here.out.iterdir()}
    assert len(written) == 10
    assert {path.name: path.read_bytes() for path in there.iterdir()} == written


def test_a_search_that_is_cut_off_goes_on_and_ends_as_a_local_one(connected, workplace):
    make_folds()
    Path("space.yaml").write_text(
        "model.hidden: [4, 6]\ntrain.lr: {low: 1.0e-3, high: 0.5, log: true}\n"
    )
    metric = "val.frame.f1.per_phase_mean"
    search = Search("s", read_space(Path("space.yaml")), metric, seed=1, params="p")

    def run(name, runner):
        study = open_study(Path(name), search)
        run_trials(study, search, runner, 3, 1, False, print, poll_s=0)
        return [(t.user_attrs["overrides"], t.value) for t in counted(study)]

    def run_away(here):
        with closing(Elsewhere(here, Path("away"), on(connected), print)) as runner:
            return run("away", runner)

    dying, after = TrainsHere(killed="s-1"), TrainsHere()
    with pytest.raises(KeyboardInterrupt):
        run_away(dying)
    found = run_away(after)
    said = [*dying.trained.values(), *after.trained.values()]
    assert len(said) == 3 and all(line.endswith("from the store") for line in said)
    shutil.rmtree(".store")
    assert run("here", TrainsHere()) == found
