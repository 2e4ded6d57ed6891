import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from pipeline.feature_space import neighbours
from pipeline.feature_space.neighbours import TEMPERATURE, K, nearest, vote


def random(rows, seed, dim=24):
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)


def test_neighbours_and_their_vote_are_those_of_scikit_learn():
    keys, queries = random(400, 0), random(90, 1)
    labels = np.random.default_rng(2).integers(0, 5, 400)
    other = KNeighborsClassifier(
        K, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / TEMPERATURE)
    ).fit(keys, labels)
    found = nearest(queries, keys)
    distance, index = other.kneighbors(queries)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.cosine, 1 - distance, atol=1e-5)
    np.testing.assert_array_equal(vote(found, labels, 5), other.predict(queries))


def test_the_size_of_a_block_changes_nothing(monkeypatch):
    keys, queries = random(300, 0), random(100, 1)
    whole = nearest(queries, keys)
    monkeypatch.setattr(neighbours, "_BLOCK", 7)
    blocks = nearest(queries, keys)
    np.testing.assert_array_equal(blocks.index, whole.index)
    np.testing.assert_allclose(blocks.cosine, whole.cosine, atol=1e-6)


def test_the_length_of_a_feature_does_not_matter():
    keys, queries = random(50, 0), random(10, 1)
    scaled = keys * np.linspace(0.1, 9, 50, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(nearest(queries, keys).index, nearest(queries, scaled).index)


@pytest.mark.parametrize("rows", [1, 3])
def test_few_keys_are_all_neighbours(rows):
    assert nearest(random(4, 1), random(rows, 0)).index.shape == (4, rows)


def test_no_queries_give_no_neighbours():
    found = nearest(random(0, 1), random(30, 0))
    assert found.index.shape == (0, K) and vote(found, np.zeros(30, int), 2).shape == (0,)


def test_a_blank_feature_is_near_to_nothing():
    found = nearest(np.zeros((1, 24), np.float32), random(30, 0))
    assert not found.cosine.any()
