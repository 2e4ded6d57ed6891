import numpy as np
import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.export.graph import program_of, write_onnx
from pipeline.export.runtime import FORMAT_VERSION, OnnxModel
from pipeline.export.temporal import temporal_graph
from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.contract import Outputs, TemporalModule
from pipeline.networks.temporal.ensemble import Ensemble

DIM, CLASSES = 6, 3
# One frame, fewer than a window, and more than a block of the windowed attention.
LENGTHS = (1, 3, 70)

ATTENTION = {"attention": True, "attention_frames": 4}
MSTCNPP = {"predictor_layers": 3, "refinements": 1, "refinement_layers": 2, "maps": 4}
OPERA = {"layers": 2, "width": 8, "feed_forward": 8, "window": 5}
TUNES = {"causal": True, "levels": 2, "layers": 1, "width": 8, "heads": 2, "window": 3}
SETTINGS = [
    ("rnn", {"hidden": 5, "layers": 2}),
    ("rnn", {"rnn": "gru", "hidden": 5, "layers": 2}),
    ("rnn", {"hidden": 5, **ATTENTION}),
    ("rnn", {"rnn": "gru", "hidden": 5, "layers": 2, "bidirectional": True, **ATTENTION}),
    ("tecno", {"stages": 2, "layers": 3, "maps": 4}),
    ("linear", {}),
    ("mlp", {}),
    ("mstcn", {"causal": True, "stages": 2, "layers": 3, "maps": 4}),
    ("mstcn", {"causal": False, "stages": 2, "layers": 3, "maps": 4}),
    ("mstcnpp", {**MSTCNPP, "causal": True}),
    ("mstcnpp", {**MSTCNPP, "causal": False}),
    ("asformer", {"causal": True, "decoders": 1, "layers": 3, "maps": 4}),
    ("asformer", {"causal": False, "decoders": 1, "layers": 7, "maps": 4}),
    ("transsvnet", {"stages": 2, "layers": 2, "maps": 4, "window": 5}),
    ("transsvnet", {"stages": 1, "layers": 2, "maps": 4, "window": 1}),
    ("opera", OPERA),
    ("opera", {**OPERA, "window": 1}),
    ("tunes", TUNES),
    ("tunes", {**TUNES, "causal": False}),
    ("conv_bilstm", {"maps": 4, "hidden": 3, "dense": 5}),
    ("ssm", {"layers": 2, "width": 8, "state": 3}),
    ("row_bilstm", {"maps": 4, "hidden": 3, "dense": 5}),
]
# A fixed past, and the loop and the blocks of whole videos.
IN_ONNX = [
    ("opera", {"layers": 1, "width": 8, "feed_forward": 8, "window": 5}),
    ("rnn", {"rnn": "gru", "hidden": 5, "layers": 1, "bidirectional": True, **ATTENTION}),
]


def build(kind, values):
    """A network with weights, statistics and running averages that all matter."""
    torch.manual_seed(1)
    network = KINDS[kind].build(DIM, CLASSES, KINDS[kind].Params(**values)).eval()
    network.standardise.fit(torch.randn(DIM), torch.rand(DIM) + 0.5)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm1d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return network.requires_grad_(False)


def wanted(network, rows):
    return network(rows, torch.ones(rows.shape[:2], dtype=torch.bool)).logits[-1]


def by_graph(network, graph, rows):
    """Logits by the graph's network: whole, or step by step from a state of zeros."""
    if not network.causal:
        return graph.network(rows)
    state = [
        torch.zeros([len(rows) if axis in axes else size for axis, size in enumerate(like.shape)])
        for like, axes in zip(graph.example[1], graph.dynamic[1], strict=True)
    ]
    logits = []
    for feature in rows.unbind(dim=1):
        own, *state = graph.network(feature, tuple(state))
        logits.append(own)
    return torch.stack(logits, dim=1)


@pytest.mark.parametrize(("kind", "values"), SETTINGS)
def test_the_form_of_a_graph_gives_what_the_network_gives(kind, values):
    network = build(kind, values)
    graph = temporal_graph(network, kind)
    for length in LENGTHS:
        rows = torch.randn(1, length, DIM)
        torch.testing.assert_close(
            by_graph(network, graph, rows), wanted(network, rows), rtol=1e-3, atol=1e-4
        )


def test_every_kind_is_held_against_its_graph():
    assert {kind for kind, _ in SETTINGS} == set(KINDS)


@pytest.mark.parametrize(("kind", "values"), IN_ONNX)
def test_a_form_of_its_own_is_the_same_in_onnx_runtime(tmp_path, kind, values):
    network = build(kind, values)
    graph = temporal_graph(network, kind)
    path = tmp_path / "temporal.onnx"
    write_onnx(path, graph, program_of(graph), {"format": FORMAT_VERSION})
    model = OnnxModel(path, threads=1)
    for length in LENGTHS:
        rows = torch.randn(2, length, DIM)
        right = wanted(network, rows).numpy()
        if network.causal:
            state, logits = model.blank_state(2), []
            for feature in rows.unbind(dim=1):
                own, *state = model.run(feature.numpy(), *state)
                logits.append(own)
            found = np.stack(logits, axis=1)
        else:
            found = np.concatenate([model.run(video[None].numpy())[0] for video in rows])
        np.testing.assert_allclose(found, right, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(found.argmax(axis=2), right.argmax(axis=2))


def test_videos_at_different_places_share_a_batch_of_steps():
    network = build("tunes", TUNES)
    graph = temporal_graph(network, "tunes")
    rows = torch.randn(2, 9, DIM)
    _, *ahead = graph.network(rows[:1, 0], tuple(torch.zeros_like(s[:1]) for s in graph.example[1]))
    state = [torch.cat((one, torch.zeros_like(one))) for one in ahead]
    # The first video is a frame ahead of the second, where the U-Net's lower rate is not due.
    for frame in range(8):
        pair = torch.stack((rows[0, frame + 1], rows[1, frame]))
        logits, *state = graph.network(pair, tuple(state))
    torch.testing.assert_close(logits[0], wanted(network, rows[:1])[0, 8], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(logits[1], wanted(network, rows[1:])[0, 7], rtol=1e-3, atol=1e-4)


def test_members_of_an_ensemble_are_given_their_forms():
    network = Ensemble([build("opera", OPERA), build("opera", {**OPERA, "window": 3})]).eval()
    rows = torch.randn(1, 12, DIM)
    found = by_graph(network, temporal_graph(network, "opera"), rows)
    torch.testing.assert_close(found, wanted(network, rows), rtol=1e-3, atol=1e-4)


def test_the_trained_network_is_left_as_it_is():
    network = build("opera", OPERA)
    before = [type(part) for part in network.modules()]
    temporal_graph(network, "opera")
    assert [type(part) for part in network.modules()] == before


class Growing(TemporalModule):
    """A mean over all frames, which are all kept."""

    causal = True
    receptive_field = None

    def forward(self, features, mask, state=None):
        rows = features if state is None else torch.cat((state, features), dim=1)
        return Outputs([rows.mean(dim=1, keepdim=True)], rows)


def test_a_state_that_grows_is_refused_in_one_line():
    with pytest.raises(PipelineError, match=r"model\.kind: mine cannot be exported: what it keeps"):
        temporal_graph(Growing(DIM, DIM).eval(), "mine")
