import time

import torch

from pipeline.training import state as state_module
from pipeline.training.state import StateFile, copied


def stepped(network, optimizer, image):
    network(image).sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_moments_come_back_in_the_memory_order_of_their_weights(tmp_path):
    def made():
        network = torch.nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
        return network, torch.optim.AdamW(network.parameters(), fused=True)

    network, optimizer = made()
    stepped(network, optimizer, torch.ones(1, 4, 5, 5))
    file = StateFile(tmp_path / "state")
    file.save(network, {}, optimizer, {})
    other, resumed = made()
    file.load(other, resumed)
    for one, two in zip(optimizer.state.values(), resumed.state.values(), strict=True):
        assert torch.equal(one["exp_avg"], two["exp_avg"])
        assert one["exp_avg"].stride() == two["exp_avg"].stride()
        assert torch.equal(one["step"], two["step"])


def test_weights_best_weights_and_header_come_back(tmp_path):
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(network.parameters())
    best = copied(network)
    stepped(network, optimizer, torch.ones(1, 3))
    file = StateFile(tmp_path / "state")
    assert file.header() is None
    file.save(network, best, optimizer, {"history": [1]})
    other = torch.nn.Linear(3, 2)
    kept = file.load(other, torch.optim.AdamW(other.parameters()))
    assert torch.equal(other.weight, network.weight)
    assert torch.equal(kept["weight"], best["weight"])
    assert not torch.equal(kept["weight"], network.weight)
    assert file.header() == {"history": [1]}
    assert file.best()[1] == {"history": [1]}
    file.remove()
    file.remove()  # two workers of a queue may both come to this
    assert file.header() is None


def test_a_state_is_saved_no_more_often_than_so_many_seconds(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    file = StateFile(tmp_path / "state")
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.AdamW(network.parameters())
    saved = []
    for now in range(100, 200, 7):
        if file.is_due():
            file.save(network, {}, optimizer, {})
            saved.append(now)
    assert saved == [121, 142, 163, 184]
    monkeypatch.setattr(state_module, "SAVE_EVERY_S", 0)
    assert file.is_due()
