from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from frames_project import settings
from torch import distributed, nn

from pipeline.backbone import stage
from pipeline.backbone.shared_norm import SharedBatchNorm, share_batch_norm
from pipeline.backbone.weights import random_weights
from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.seeding import derived_seed


def run(devices):
    """The curves and the weights of the stage on so many CPU processes."""
    values = {"batch": 6, "accumulate": 2, "frames_per_epoch": 33, "lr": 1e-4, "epochs": 1}
    settings(values | {"checkpointing": True}, devices=devices)
    assert "fine-tuned on 36 frames" in stage.run()
    losses = pd.read_csv("reports/backbone/history.csv")[["train_loss", "val_loss"]]
    return losses.to_numpy(), load_checkpoint(Path("models/backbone.safetensors"))[0]


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one_with_the_doubled_batch(project):
    """With batch norm, and parts of which one process has a frame more."""
    (two, weights), (one, expected) = run(2), run(1)
    np.testing.assert_allclose(two, one, rtol=1e-3)
    start = random_weights("resnet18", derived_seed(3, "backbone"))

    def steps(tensors):
        moved = [tensors[k] - t for k, t in start.items() if t.is_floating_point()]
        return torch.cat([m.double().flatten() for m in moved])

    # The optimizer makes a full step of a gradient that is nothing but rounding; there are few.
    assert torch.cosine_similarity(steps(weights), steps(expected), dim=0) > 0.99


@pytest.mark.slow
def test_what_one_of_two_processes_meets_is_said_in_its_words(project):
    with h5py.File("data/frames/b.h5", "r+") as file:
        file["jpeg"][4] = np.frombuffer(b"no picture at all", dtype=np.uint8)
    settings(devices=2)
    with pytest.raises(PipelineError, match=r"^data/frames/b\.h5: a frame is not.*repro\.$"):
        stage.run()


IMAGES = 4, 5, 3, 2
WHOSE = slice(0, 3), slice(3, 4)


def drawn():
    """A batch norm, its input and what its output is weighed with, the same in each process."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(IMAGES[1])
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm, torch.randn(IMAGES) + 7, torch.randn(IMAGES)


def passed(norm, images, wanted):
    x = images.clone().requires_grad_()
    y = norm(x)
    (y * wanted).sum().backward()
    return {
        "own": [y.detach(), x.grad],
        "summed": [norm.weight.grad, norm.bias.grad],
        "same": [b.clone() for b in norm.buffers()],
    }


def one_of_two(rank, folder):
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    norm, images, wanted = drawn()
    shared = SharedBatchNorm(IMAGES[1])
    shared.load_state_dict(norm.state_dict())
    torch.save(passed(shared, images[WHOSE[rank]], wanted[WHOSE[rank]]), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_shared_batch_norm_is_torchs_on_what_all_processes_have(tmp_path):
    """Output, gradients and running statistics, with uneven shares."""
    torch.multiprocessing.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    expected = passed(*drawn())
    found = {
        "own": [torch.cat(pair) for pair in zip(first["own"], second["own"], strict=True)],
        "summed": [a + b for a, b in zip(first["summed"], second["summed"], strict=True)],
        "same": first["same"],
    }
    for key, tensors in expected.items():
        for ours, theirs in zip(found[key], tensors, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(first["same"], second["same"], strict=True))


def test_sharing_keeps_the_names_weights_and_modes_of_a_network():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4)), nn.ReLU())
    network[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    share_batch_norm(network)
    assert isinstance(network[1][0], SharedBatchNorm) and not network[1][0].training
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
