import pytest
import torch
from torch import nn

from pipeline.training.optimizers import optimizer, step


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(4, 4, 3), nn.LayerNorm(6), nn.Flatten(), nn.Linear(24, 2))


KINDS = ("adamw", "adam", "sgd")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("decay", ["all", "matrices"])
def test_without_a_gradient_matrices_shrink_and_the_rest_only_where_all_decays(kind, decay):
    net = network()
    for parameter in net.parameters():
        parameter.data += 1
        parameter.grad = torch.zeros_like(parameter)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    made = optimizer(kind, net.parameters(), 0.01, 0.1, decay)
    made.step()
    for name, parameter in net.named_parameters():
        decays = decay == "all" or parameter.ndim >= 2
        assert torch.equal(parameter, before[name]) != decays, name


@pytest.mark.parametrize("kind", KINDS)
def test_each_optimizer_is_torchs(kind):
    one, two = network(), network()
    theirs = {
        "adamw": lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1),
        "adam": lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.1),
        "sgd": lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, weight_decay=0.1),
    }[kind](two.parameters())
    ours = optimizer(kind, one.parameters(), 0.01, 0.1, "all")
    for _ in range(5):
        for mine, other in zip(one.parameters(), two.parameters(), strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        ours.step()
        theirs.step()
    for ours_p, theirs_p in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(ours_p, theirs_p)


def test_a_step_takes_the_clipped_mean_of_the_passes_and_leaves_no_gradient():
    parameter = nn.Parameter(torch.zeros(2))
    unused = nn.Parameter(torch.zeros(1))
    made = torch.optim.SGD([parameter, unused], lr=1.0)
    parameter.grad = torch.tensor([9.0, 12.0])
    step(made, 3, clip_norm=100.0)
    torch.testing.assert_close(parameter.data, torch.tensor([-3.0, -4.0]))
    assert parameter.grad is None
    parameter.data.zero_()
    parameter.grad = torch.tensor([9.0, 12.0])
    step(made, 3, clip_norm=1.0)
    torch.testing.assert_close(parameter.data, torch.tensor([-0.6, -0.8]), rtol=1e-5, atol=1e-5)
