import torch

from pipeline.checkpoint import tensors_hash


def test_the_hash_of_tensors_is_over_names_types_shapes_and_values_alone():
    tensors = {
        "a": torch.arange(4.0),
        "n": torch.tensor(3),
        "h": torch.ones(2, dtype=torch.bfloat16),
    }
    known = tensors_hash(tensors)
    assert tensors_hash(dict(reversed(tensors.items()))) == known
    changed = [
        {"a": torch.arange(4.0) + 1},
        {"a": torch.arange(4.0).view(2, 2)},
        {"a": torch.arange(4)},
        {"b": torch.ones(1)},
    ]
    assert len({known, *(tensors_hash(tensors | change) for change in changed)}) == 5
