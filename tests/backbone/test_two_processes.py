from functools import partial
from pathlib import Path

import lightning_fabric
import pytest
import torch
from test_finetune import params_of, trained
from torch import distributed, nn

from pipeline.backbone.shared_norm import SharedBatchNorm, share_batch_norm
from pipeline.training_state import read_best


def in_a_process(fabric, values, state):
    """What each of two processes runs: losses, and whether both have the same network."""
    torch.set_num_threads(1)
    result, last = trained(params_of(**values), state=Path(state), fabric=fabric)
    both = fabric.all_gather(torch.cat([t.double().flatten() for t in last.values()]))
    losses = [(row.train_loss, row.val_loss) for row in result.history]
    return losses, bool(torch.equal(both[0], both[1]))


def compared(values):
    """Losses of two processes and of one with the doubled batch, then the weights of both."""
    fabric = lightning_fabric.Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn")
    two, agree = fabric.launch(partial(in_a_process, values=values, state="two"))
    assert agree
    alone = trained(params_of(**values), state=Path("one"))[0]
    one = [(row.train_loss, row.val_loss) for row in alone.history]
    return two, one, read_best(Path("two"))[0], alone.weights


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one_with_the_doubled_batch(project):
    """With batch norm, and parts of which one process has a frame more.

    Rounding grows with each step, so the steps are small: each process on its own statistics
    would be off by a hundredth.
    """
    values = {"batch": 6, "accumulate": 2, "frames_per_epoch": 33, "epochs": 1, "lr": 1e-5}
    two, one, weights, expected = compared(values | {"checkpointing": True})
    for row, both in zip(one, two, strict=True):
        assert both == pytest.approx(row, rel=1e-3)
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-3, atol=1e-4)


@pytest.fixture
def one_process_of_one(tmp_path):
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1
    )
    yield
    distributed.destroy_process_group()


def test_shared_batch_norm_is_torchs_where_one_process_has_all(one_process_of_one):
    """Output, gradients and running statistics."""
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(5)
    shared = SharedBatchNorm(5)
    nn.init.normal_(plain.weight)
    nn.init.normal_(plain.bias)
    shared.load_state_dict(plain.state_dict())
    images = torch.randn(4, 5, 3, 2) + 7
    wanted = torch.randn_like(images)
    results = []
    for norm in (plain, shared):
        x = images.clone().requires_grad_()
        y = norm(x)
        (y * wanted).sum().backward()
        results.append([y, x.grad, norm.weight.grad, norm.bias.grad, *norm.buffers()])
    for ours, theirs in zip(*reversed(results), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_sharing_keeps_the_names_weights_and_modes_of_a_network():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4)), nn.ReLU())
    network[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    share_batch_norm(network)
    assert isinstance(network[1][0], SharedBatchNorm) and not network[1][0].training
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
