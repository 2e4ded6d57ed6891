"""Several processes, for which the CPU stands in: the code path of several GPUs."""

from pathlib import Path

import h5py
import lightning_fabric
import numpy as np
import pandas as pd
import pytest
import torch
from frames_project import settings
from lightning_fabric.strategies import DDPStrategy
from warm_processes import METHOD, warm_context

from pipeline.backbone import launch, stage
from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError

# resnet18 in both, because a new process knows only the families of the project.
HEAD_ALONE = {"strategy": "head", "batch": 6, "accumulate": 2, "frames_per_epoch": 33}


@pytest.fixture
def two_processes(monkeypatch):
    """The training on two, everything else on one."""

    warm_context()

    def fabric_for(runtime, precision, devices):
        # As ddp_spawn, except that the processes need not import torch.
        strategy = DDPStrategy(start_method=METHOD)
        return lightning_fabric.Fabric(
            accelerator="cpu", strategy=strategy, devices=2, precision=precision
        )

    original = launch.train

    def train(*arguments):
        with monkeypatch.context() as patched:
            patched.setattr(launch, "fabric_for", fabric_for)
            original(*arguments)

    monkeypatch.setattr("pipeline.backbone.fine_tuning.train", train)


def run():
    """The curves and the weights of the stage."""
    settings(HEAD_ALONE, name="resnet18")
    assert "fine-tuned on 36 frames" in stage.run()
    losses = pd.read_csv("reports/backbone/history.csv")[["train_loss", "val_loss"]]
    (kept,) = Path(".store/backbone").glob("*.safetensors")
    return losses.to_numpy(), load_checkpoint(kept)[0]


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one_with_the_doubled_batch(project, request):
    """The head alone, since a CPU cannot share batch norm; the parts are uneven."""
    one, expected = run()
    for path in Path(".store/backbone").iterdir():
        path.unlink()
    request.getfixturevalue("two_processes")
    two, weights = run()
    np.testing.assert_allclose(two, one, rtol=1e-4)
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_what_one_of_two_processes_meets_is_said_in_its_words(project, two_processes):
    with h5py.File("data/frames/b.h5", "r+") as file:
        file["jpeg"][4] = np.frombuffer(b"no picture at all", dtype=np.uint8)
    settings(HEAD_ALONE, name="resnet18")
    with pytest.raises(PipelineError, match=r"^data/frames/b\.h5: a frame is not.*repro\.$"):
        stage.run()
    assert not list(Path(".store/backbone").glob("*.error"))
