import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA

from pipeline.errors import PipelineError
from pipeline.feature_space.projection import feature_map


def features(rows, seed=0, dim=40):
    random = np.random.default_rng(seed)
    return (random.normal(size=(rows, dim)) * np.linspace(3, 0.1, dim) + 5).astype(np.float32)


@pytest.mark.parametrize(("rows", "dim"), [(200, 40), (30, 90), (2, 5), (500, 2)])
def test_pca_is_that_of_scikit_learn(rows, dim):
    training, others = features(rows, dim=dim), features(60, 1, dim)
    other = PCA(2, svd_solver="full").fit(training.astype(float))
    found = feature_map("pca", training, others)
    for axis, direction in enumerate(other.components_):
        sign = np.sign(direction[np.abs(direction).argmax()])
        share = other.explained_variance_ratio_[axis]
        assert f"{100 * share:.0f} %" in found.axes[axis]
        if share < 1e-9:  # two points span one axis only
            continue
        for placed, given in ((found.training, training), (found.others, others)):
            expected = sign * other.transform(given)[:, axis]
            np.testing.assert_allclose(placed[:, axis], expected, atol=2e-3)


def test_pca_repeats_its_bits_and_others_do_not_move_it():
    training = features(200)
    one, two = (feature_map("pca", training, features(9, seed)) for seed in (1, 2))
    np.testing.assert_array_equal(one.training, two.training)


@pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")
@pytest.mark.slow
def test_umap_keeps_planted_clusters_apart_and_repeats(monkeypatch):
    # Its loops over a few points are done long before they would be compiled.
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    pytest.importorskip("umap", reason="the extra umap is not installed")
    random = np.random.default_rng(0)
    centres = random.normal(size=(2, 30)).repeat(10, axis=0)
    training, others = (
        (centres + 0.1 * random.normal(size=centres.shape)).astype(np.float32) for _ in range(2)
    )
    first, second = (feature_map("umap", training, others) for _ in range(2))
    np.testing.assert_array_equal(first.others, second.others)
    a, b = first.training[:10].mean(axis=0), first.training[10:].mean(axis=0)
    near_a = np.linalg.norm(first.others - a, axis=1) < np.linalg.norm(first.others - b, axis=1)
    np.testing.assert_array_equal(near_a, np.arange(20) < 10)


def test_a_missing_umap_names_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(PipelineError, match=r"pip install 'surgical-phase-pipeline\[umap\]'"):
        feature_map("umap", features(20), features(5))
