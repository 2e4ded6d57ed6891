"""Items as jobs, by submitit's executor for this machine."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import remote_functions
from elsewhere_project import check_frames, check_interrupt
from features_project import forget, hashes, make_project

from pipeline.errors import PipelineError
from pipeline.executors.elsewhere import done_elsewhere
from pipeline.executors.on_slurm import _executor, _submitit
from pipeline.features import stage as features_stage
from pipeline.runtime import Needs, RuntimeParams, SlurmParams

pytest.importorskip("submitit")
ROOT = Path(__file__).parents[2]
LOCALLY = RuntimeParams(
    executor="slurm", slurm=SlurmParams(cluster="local", jobs=2), progress="none"
)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests/executors'}")


def test_results_errors_and_lines_come_back_and_no_file_of_a_job_stays(workplace):
    said, found = [], {}
    for item, give in done_elsewhere(
        remote_functions.squared, [1, 2, 3], LOCALLY.task, LOCALLY, said.append
    ):
        try:
            found[item] = give()
        except PipelineError as error:
            found[item] = str(error)
    assert found == {1: 1, 2: 4, 3: "3: found an odd number"}
    assert sorted(said) == [f"squaring {number}" for number in (1, 2, 3)]
    assert not [path for path in Path(".store/slurm").iterdir() if path.suffix == ".pkl"]


def test_features_have_the_bytes_of_a_local_run(workplace):
    make_project(workplace)
    features_stage.run()
    local = hashes(workplace / "features/videos")
    forget(workplace)
    shutil.rmtree(workplace / "features/videos")
    with Path("params.yaml").open("a") as params:
        params.write("  executor: slurm\n  slurm: {cluster: local, jobs: 2}\n")
    assert "2 videos, 2 computed" in features_stage.run()
    assert hashes(workplace / "features/videos") == local


def test_frames_have_the_bytes_of_a_local_run(workplace):
    check_frames("  executor: slurm\n  slurm: {cluster: local, jobs: 2}\n")


def test_a_job_that_dies_is_submitted_again(workplace, monkeypatch):
    from submitit.core.core import Job

    # submitit waits 15 s for the result of a dead job, which a slow disk might show late.
    monkeypatch.setattr(Job, "_results_timeout_s", 1)
    Path("tries").mkdir()
    ((_, give),) = done_elsewhere(remote_functions.dying, ["tries"], LOCALLY.task, LOCALLY, print)
    assert give() == "done"


def test_a_run_that_is_cancelled_ends_its_jobs(workplace):
    import psutil

    Path("begun").mkdir()
    # Other tests of this worker may have started what lives longer, as the warm Python of DVC's.
    others = set(psutil.Process().children(recursive=True))
    results = done_elsewhere(
        remote_functions.noted_then_quick, ["begun"] * 4, LOCALLY.task, LOCALLY, print
    )
    next(results)
    started = set(psutil.Process().children(recursive=True)) - others
    assert started
    results.close()
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive


def test_ctrl_c_ends_the_stage_and_its_jobs_and_keeps_what_is_finished(workplace):
    check_interrupt("  executor: slurm\n  slurm: {cluster: local, jobs: 3}\n")


def test_a_share_of_a_gpu_is_a_whole_one_to_slurm(workplace, monkeypatch):
    from submitit import AutoExecutor

    asked = {}
    monkeypatch.setattr(AutoExecutor, "update_parameters", lambda _, **given: asked.update(given))
    _executor(_submitit(), len, Needs(gpus=0.5, cpus=3), LOCALLY.slurm)
    assert (asked["gpus_per_node"], asked["cpus_per_task"]) == (1, 3)


def test_a_machine_without_slurm_is_named_in_a_line(workplace):
    if shutil.which("srun"):
        pytest.skip("Slurm is installed here")
    asked = RuntimeParams(executor="slurm")
    with pytest.raises(PipelineError, match=r"runtime\.executor: found slurm.*no `srun`"):
        list(done_elsewhere(remote_functions.squared, [1], asked.task, asked, print))


@pytest.mark.parametrize(
    ("executor", "module", "extra"), [("ray", "ray", "ray"), ("slurm", "submitit", "slurm")]
)
def test_an_extra_that_is_missing_is_named_with_the_command(monkeypatch, executor, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    asked = RuntimeParams(executor=executor)
    with pytest.raises(PipelineError, match=rf"pip install 'surgical-phase-pipeline\[{extra}\]'"):
        list(done_elsewhere(remote_functions.squared, [1], asked.task, asked, print))


@pytest.mark.parametrize("stage", ["frames"])
def test_a_local_run_loads_neither_ray_nor_submitit(stage):
    code = (
        f"import sys, pipeline.{stage}.stage; assert not {{'ray', 'submitit'}} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
