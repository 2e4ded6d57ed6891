import torch
from torch import nn

from pipeline.networks.temporal.contract import TemporalModule
from pipeline.training.weight_average import WeightAverage


class Network(TemporalModule):
    """A weight, batch norm, and the statistics of the features."""

    causal, receptive_field = True, 1

    def __init__(self):
        super().__init__(3, 2)
        self.head = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)


def test_weights_and_the_statistics_of_batch_norm_are_averaged_and_counts_are_taken_over():
    torch.manual_seed(0)
    network = Network()
    network.standardise.fit(torch.randn(3), torch.rand(3) + 0.1)
    average = WeightAverage(network, 0.9)
    expected = {name: value.double() for name, value in network.state_dict().items()}
    statistics = {name: value.clone() for name, value in network.standardise.state_dict().items()}
    for step in range(1, 101):
        with torch.no_grad():
            network.head.weight += torch.randn(2, 3)
        network.norm(torch.randn(5, 2))
        average.update()
        kept = min(0.9, (1 + step) / (10 + step))  # 0.9 from step 80 on
        for name, now in network.state_dict().items():
            expected[name] = kept * expected[name] + (1 - kept) * now
    expected["norm.num_batches_tracked"] = torch.tensor(100.0)
    for name, value in average.mean.state_dict().items():
        torch.testing.assert_close(value.double(), expected[name].double(), rtol=1e-4, atol=1e-5)
    for name, value in average.mean.standardise.state_dict().items():
        assert torch.equal(value, statistics[name])


def test_the_average_learns_nothing_itself_and_leaves_the_network_alone():
    network = Network()
    average = WeightAverage(network, 0.9)
    assert not any(parameter.requires_grad for parameter in average.mean.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    before = average.mean.head.weight.clone()
    with torch.no_grad():
        network.head.weight += 1
    assert torch.equal(average.mean.head.weight, before)


def test_a_state_holds_both_and_how_many_steps_there_were():
    network = Network()
    average = WeightAverage(network, 0.9)
    with torch.no_grad():
        network.head.weight += 1
    average.update()
    other = WeightAverage(Network(), 0.9)
    other.load_state_dict(average.state_dict())
    assert int(other.steps) == 1
    assert torch.equal(other.mean.head.weight, average.mean.head.weight)
    assert torch.equal(other.trained.head.weight, network.head.weight)
