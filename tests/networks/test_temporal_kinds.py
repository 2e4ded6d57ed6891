"""What each kind of temporal network says of itself and its paper, beyond the common contract."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from pipeline.networks.cost import sequence_cost
from pipeline.networks.temporal import KINDS, conv_bilstm, opera
from pipeline.networks.temporal.asformer import instance_norm
from pipeline.networks.temporal.blocks.scan import Scan
from pipeline.networks.temporal.blocks.video_mean import VideoMean
from pipeline.networks.temporal.conv_bilstm import FrameNorm

D, C = 6, 4
# Small forms that learn quickly.
SMALL = {
    "rnn": {"hidden": 16, "layers": 1},
    "tecno": {"layers": 3, "maps": 16},
    "linear": {},
    "mlp": {"hidden": 16},
    "mstcn": {"stages": 2, "layers": 3, "maps": 16},
    "mstcnpp": {"predictor_layers": 3, "refinements": 1, "refinement_layers": 2, "maps": 16},
    "asformer": {"decoders": 1, "layers": 3, "maps": 16, "channel_dropout": 0.0},
    "transsvnet": {"layers": 3, "maps": 16, "window": 5},
    "opera": {"layers": 2, "width": 16, "feed_forward": 16, "window": 8},
    "tunes": {"levels": 2, "layers": 1, "width": 16, "heads": 2},
    "conv_bilstm": {"maps": 16, "hidden": 16, "dense": 16, "lstm_dropout": 0.0},
    "ssm": {"layers": 2, "width": 16, "state": 4},
    "row_bilstm": {"maps": 16, "hidden": 16, "dense": 16, "lstm_dropout": 0.0},
}


def small(kind, seed=0, **changes):
    torch.manual_seed(seed)
    params = KINDS[kind].Params
    sizes = SMALL[kind] | ({"dropout": 0.0} if "dropout" in params.model_fields else {})
    return KINDS[kind].build(D, C, params(**sizes | changes))


def whole(features):
    return torch.ones(features.shape[:2], dtype=torch.bool)


@pytest.mark.parametrize(
    ("kind", "millions"), [("mstcn", 0.80), ("mstcnpp", 0.99), ("asformer", 1.134)]
)
def test_networks_are_as_large_as_their_papers_say(kind, millions):
    """For the 19 classes of 50Salads and features of I3D; tables of MS-TCN++ and ASFormer."""
    with torch.device("meta"):
        network = KINDS[kind].build(2048, 19, KINDS[kind].Params())
    found = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    assert found == pytest.approx(millions, rel=0.01)


def test_params_yaml_shows_every_number_of_every_kind_with_its_default():
    section = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())["model"]
    for kind in KINDS:
        if kind != "rnn":  # the demo's, directly below `model`
            assert section[kind] == KINDS[kind].Params().model_dump()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_one_video_by_heart(kind):
    # Phases of an even length: pooling by two cannot tell the frames of a pair apart.
    labels = torch.arange(C).repeat_interleave(8)[None, :31]
    network = small(kind)
    features = 3 * torch.eye(C, D)[labels] + 0.5 * torch.randn(1, 31, D)
    mask = whole(features)

    def learnt():
        with torch.inference_mode():
            return torch.equal(network.eval()(features, mask).logits[-1].argmax(dim=2), labels)

    for phase in network.training_phases:
        network.begin_phase(phase)
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=0.01)
        for step in range(250):
            if step % 25 == 0 and learnt():
                break
            outputs = network.train()(features, mask)
            loss = sum(
                nn.functional.cross_entropy(logits[0], labels[0]) for logits in outputs.logits
            )
            extra = network.extra_loss(outputs, labels, mask)
            optimizer.zero_grad()
            (loss if extra is None else loss + extra).backward()
            optimizer.step()
    assert learnt()


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_weights_and_others_give_others(kind):
    one, two, three = (small(kind, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], three[name]) for name in one)


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_shortest_videos_can_be_learned_from(kind, length):
    network = small(kind)
    features = torch.randn(1, length, D)
    outputs = network(features, whole(features))
    loss = sum(logits.square().mean() for logits in outputs.logits)
    extra = network.extra_loss(outputs, torch.zeros(1, length, dtype=torch.int64), whole(features))
    (loss if extra is None else loss + extra).backward()
    for parameter in network.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_precision_gives_about_the_same(kind):
    network = small(kind).eval()
    features = torch.randn(2, 20, D)
    mask = whole(features)
    mask[1, 13:] = False
    expected = network(features, mask).logits[-1]
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(features, mask).logits[-1]
    logits.float().square().mean().backward()
    torch.testing.assert_close(logits.float()[mask], expected[mask], atol=0.1, rtol=0.1)


def test_the_state_of_each_causal_kind_stops_growing():
    def numbers(state):
        if isinstance(state, tuple):
            return sum(map(numbers, state))
        return 0 if state is None else state.numel()

    for kind in KINDS:
        causal = {"causal": True} if "causal" in KINDS[kind].Params.model_fields else {}
        limit = {"window": 8} if kind == "tunes" else {}
        network = small(kind, **causal, **limit).eval()
        if not network.causal:
            continue
        state, sizes = None, []
        with torch.inference_mode():
            for _ in range(120):
                _, state = network.step(torch.randn(1, D), state)
                sizes.append(numbers(state))
        assert max(sizes[-40:]) == max(sizes[40:80]), kind


@pytest.mark.parametrize("length", [1, 2, 9, 17, 50])
def test_the_scan_is_the_recurrence_step_by_step(length):
    a = torch.rand(2, length, 3, 4, dtype=torch.float64)
    b = torch.randn(2, length, 3, 4, dtype=torch.float64)
    h = torch.randn(2, 3, 4, dtype=torch.float64)
    expected, now = [], h
    for t in range(length):
        now = a[:, t] * now + b[:, t]
        expected.append(now)
    torch.testing.assert_close(Scan.apply(a, b, h), torch.stack(expected, dim=1))


def test_the_gradient_of_the_scan_is_right():
    inputs = (torch.rand(2, 7, 2, 3), torch.randn(2, 7, 2, 3), torch.randn(2, 2, 3))
    assert torch.autograd.gradcheck(Scan.apply, [part.double().requires_grad_() for part in inputs])


def test_the_scan_forgets_at_once_or_never_without_overflow():
    a = torch.zeros(1, 10_000, 1, 2)
    a[..., 1] = 1.0
    hs = Scan.apply(a, torch.ones(1, 10_000, 1, 2), torch.zeros(1, 1, 2))
    assert torch.equal(hs[0, :, 0, 0], torch.ones(10_000))
    assert torch.equal(hs[0, :, 0, 1], torch.arange(1.0, 10_001.0))


def test_the_state_space_model_starts_with_the_papers_decays():
    block = small("ssm").blocks[0]
    delta = nn.functional.softplus(block.delta.bias)
    assert delta.min() > 0.00099 and delta.max() < 0.101
    torch.testing.assert_close(-block.log_a.exp()[0], -torch.arange(1.0, 5.0))


def test_the_instance_norm_is_torchs_and_leaves_padding_out():
    x = torch.randn(2, 3, 12)
    frames = torch.ones(2, 1, 12)
    torch.testing.assert_close(instance_norm(x, frames), nn.InstanceNorm1d(3)(x))
    frames[1, :, 5:] = 0
    short = nn.InstanceNorm1d(3)(x[1:, :, :5])
    torch.testing.assert_close(instance_norm(x, frames)[1:, :, :5], short)


def test_the_norm_over_frames_is_instance_norm_of_each_video_without_its_padding():
    x = torch.randn(2, 6, 3)
    mask = whole(x)
    mask[1, 4:] = False
    normed = FrameNorm(3)(x, mask)
    for video, frames in ((0, 6), (1, 4)):
        alone = x[video : video + 1, :frames].transpose(1, 2)
        expected = nn.InstanceNorm1d(3)(alone).transpose(1, 2)[0]
        torch.testing.assert_close(normed[video, :frames], expected)
    assert not normed[~mask].any()


def test_conv_bilstm_evaluates_a_video_as_it_was_trained_on_it():
    """Batch norm, with one video per step, would take other statistics in evaluation."""
    params = conv_bilstm.Params(maps=4, hidden=3, dense=3, lstm_dropout=0, dropout=0)
    network = conv_bilstm.build(D, C, params)
    shifted = 5 + 3 * torch.randn(1, 9, D)
    trained = network.train()(shifted, whole(shifted)).logits[-1]
    torch.testing.assert_close(network.eval()(shifted, whole(shifted)).logits[-1], trained)


def test_the_transformer_of_trans_svnet_sees_the_last_logits_of_the_frozen_tcn():
    """Each frame on its own, as the paper draws it."""
    network = small("transsvnet").eval()
    features = torch.randn(1, 12, D)
    network.begin_phase("tcn")
    tcn = network(features, whole(features)).logits[-1]
    network.begin_phase("transformer")
    logits = network(features, whole(features)).logits[-1]
    for t in range(12):
        window = tcn[:, max(t - 4, 0) : t + 1]
        real = torch.ones(1, window.shape[1], dtype=torch.bool)
        query = torch.tanh(network.query(features[:, t : t + 1]))
        expected = network.decoder(query, network.encoder(window, window, real), real)
        torch.testing.assert_close(logits[:, t : t + 1], expected)


def test_the_second_phase_of_trans_svnet_leaves_the_tcn_as_it_is():
    network = small("transsvnet", dropout=0.5)
    network.begin_phase("transformer")
    network.train()
    assert not any(module.training for module in network.tcn.modules())
    assert not any(parameter.requires_grad for parameter in network.tcn.parameters())
    features = torch.randn(1, 12, D)
    once, again = (network(features, whole(features)).logits[-1] for _ in range(2))
    assert torch.equal(once, again)


def test_a_width_that_heads_cannot_share_is_refused():
    with pytest.raises(ValueError, match="width 10 cannot be shared by 4 heads"):
        KINDS["tunes"].Params(width=10, heads=4)


def test_a_long_video_is_learned_with_the_same_gradients_in_less_memory(monkeypatch):
    def gradients():
        torch.manual_seed(0)
        network = opera.build(8, 3, opera.Params(layers=3, width=16, feed_forward=32, window=8))
        features, mask = torch.randn(2, 40, 8), torch.ones(2, 40, dtype=torch.bool)
        network(features, mask).logits[-1].square().mean().backward()  # with dropout
        return [parameter.grad for parameter in network.parameters()]

    kept = gradients()
    monkeypatch.setattr(opera, "RECOMPUTED_BEYOND", 39)
    for known, again in zip(kept, gradients(), strict=True):
        assert torch.equal(known, again)


def test_recurrent_kinds_cost_what_their_layers_multiply():
    cost = sequence_cost(conv_bilstm.build(2048, 7, conv_bilstm.Params()).eval(), 2048)
    convolution, lstm = 64 * 2048 * 5, 2 * 4 * 128 * (64 + 128)
    # The LSTM sees pairs of frames.
    assert cost.flops_per_frame == 2 * (convolution + lstm // 2 + 256 * 64 + 64 * 7)


def test_the_mean_of_a_video_is_that_of_its_frames_or_of_those_so_far_with_ten_of_zeros():
    x = torch.randn(2, 6, 3)
    mask = whole(x)
    mask[1, 4:] = False
    less, _ = VideoMean(3, causal=False)(x, mask, None)
    torch.testing.assert_close(less[1, :4], x[1, :4] - x[1, :4].mean(dim=0))
    less, _ = VideoMean(3, causal=True)(x, mask, None)
    torch.testing.assert_close(less[1, 3], x[1, 3] - x[1, :4].sum(dim=0) / 14)
    assert not less[~mask].any()
