from functools import partial
from pathlib import Path

import lightning_fabric
import pytest
import torch
from test_finetune import params_of, trained

from pipeline.training_state import read_best


def in_a_process(fabric, values, state):
    """What each of two processes runs: losses, and whether both have the same weights."""
    torch.set_num_threads(1)
    result, last = trained(params_of(**values), state=Path(state), fabric=fabric)
    own = [t.double().flatten() for k, t in last.items() if "running" not in k]
    both = fabric.all_gather(torch.cat(own))
    losses = [(row.train_loss, row.val_loss) for row in result.history]
    return losses, bool(torch.equal(both[0], both[1]))


def launched(values, state):
    fabric = lightning_fabric.Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn")
    return fabric.launch(partial(in_a_process, values=values, state=state))


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one_with_the_doubled_batch(project):
    """Same losses and weights where no batch norm is trained; else the same weights in both."""
    head = {"strategy": "head", "class_weights": "median", "epochs": 2}
    losses, agree = launched(head, "two")
    weights = read_best(Path("two"))[0]
    one = trained(params_of(**head), state=Path("one"))[0]
    assert agree
    for row, both in zip(one.history, losses, strict=True):
        assert both == pytest.approx((row.train_loss, row.val_loss), rel=1e-5)
    for name, tensor in one.weights.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=1e-6)
    thaws = {"strategy": "two_stage", "unfreeze_epoch": 2, "accumulate": 2, "batch": 8}
    assert launched(thaws, "three")[1]
