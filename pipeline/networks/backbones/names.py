"""The names of tensors, for networks that hold the parts of a published one in another order."""

from collections.abc import Mapping

from torch import nn

from pipeline.networks.backbones.contract import Tensors


def names_of(network: nn.Module) -> dict[int, str]:
    """The name of each tensor of a network, by the tensor's identity."""
    return {id(tensor): name for name, tensor in network.state_dict(keep_vars=True).items()}


def new_names(old: Mapping[int, str], network: nn.Module) -> dict[str, str]:
    """For each old name, what the same tensor is called in a network made of the same parts.

    Args:
        old: From names_of, before the parts were taken out.
        network: Holds them now.
    """
    return {old[identity]: name for identity, name in names_of(network).items()}


def renamed(names: Mapping[str, str], tensors: Tensors) -> Tensors:
    """Tensors under other names; those that `names` does not list keep theirs."""
    return {names.get(name, name): tensor for name, tensor in tensors.items()}
