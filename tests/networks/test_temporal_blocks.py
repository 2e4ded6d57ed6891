"""What several temporal networks are built of, against slower or torch's own implementations."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from pipeline.networks.temporal.blocks.attention import last, windowed_attention
from pipeline.networks.temporal.blocks.smoothing import smoothing_loss
from pipeline.networks.temporal.blocks.tcn import DilatedConv
from pipeline.networks.temporal.blocks.transformer import TransformerLayer
from pipeline.networks.temporal.mstcn import MsTcn
from pipeline.networks.temporal.tecno import Tecno


def attended_frame_by_frame(query, key, value, mask, before, after):
    past = key.shape[2] - query.shape[2]
    rows = torch.zeros(*query.shape[:3], value.shape[3])
    for video in range(len(query)):
        end = past + int(mask[video].sum())
        for t in range(int(mask[video].sum())):
            seen = slice(max(t + past - before, 0), min(t + past + after + 1, end))
            scores = key[video, :, seen] @ query[video, :, t, :, None] / math.sqrt(query.shape[3])
            rows[video, :, t] = (scores.softmax(dim=1) * value[video, :, seen]).sum(dim=1)
    return rows


@pytest.mark.parametrize(("before", "after"), [(0, 0), (5, 0), (4, 4), (0, 3), (90, 0), (300, 300)])
@pytest.mark.parametrize("length", [1, 2, 64, 65, 200])
@pytest.mark.parametrize("past", [0, 3])
def test_windowed_attention_is_attention_to_the_frames_around(before, after, length, past):
    past = min(past, before)
    query = torch.randn(2, 3, length, 4)
    key, value = torch.randn(2, 3, past + length, 4), torch.randn(2, 3, past + length, 5)
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[1, length - length // 3 :] = False
    y = windowed_attention(query, key, value, mask, before, after)
    assert y.isfinite().all()
    expected = attended_frame_by_frame(query, key, value, mask, before, after)
    torch.testing.assert_close(y * mask[:, None, :, None], expected, atol=1e-5, rtol=1e-5)


def test_the_memory_of_windowed_attention_grows_with_the_length_only():
    """14,400 frames that all see each other would take 800 MB for each head."""
    sizes = []
    for length in (512, 1024, 2048):
        query = torch.randn(1, 1, length, 4, requires_grad=True)
        mask = torch.ones(1, length, dtype=torch.bool)
        kept = 0

        def count(tensor):
            nonlocal kept
            kept += tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            windowed_attention(query, query, query, mask, before=31)
        sizes.append(kept)
    assert sizes[2] - sizes[1] == pytest.approx(2 * (sizes[1] - sizes[0]), rel=0.05)


def test_none_of_the_last_rows_is_none_and_not_all():
    x = torch.randn(1, 1, 4, 2)
    assert last(x, 0).shape[2] == 0
    assert torch.equal(last(x, 3), x[:, :, 1:])
    assert torch.equal(last(x, 9), x)


@pytest.mark.parametrize("window", [None, 4])
def test_a_transformer_layer_is_torchs(window):
    torch.manual_seed(0)
    layer = TransformerLayer(8, 2, 12, 0.0, window)
    torchs = nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True, norm_first=True)
    names = {
        "self_attn.in_proj_weight": "project.weight",
        "self_attn.in_proj_bias": "project.bias",
        "self_attn.out_proj.weight": "leave.weight",
        "self_attn.out_proj.bias": "leave.bias",
        "linear1.weight": "feed_forward.1.weight",
        "linear1.bias": "feed_forward.1.bias",
        "linear2.weight": "feed_forward.4.weight",
        "linear2.bias": "feed_forward.4.bias",
        "norm1.weight": "attention_norm.weight",
        "norm1.bias": "attention_norm.bias",
        "norm2.weight": "feed_forward.0.weight",
        "norm2.bias": "feed_forward.0.bias",
    }
    ours = layer.state_dict()
    torchs.load_state_dict({theirs: ours[name] for theirs, name in names.items()})
    x = torch.randn(2, 11, 8)
    hidden = None
    if window:
        distance = torch.arange(11)[:, None] - torch.arange(11)
        hidden = (distance < 0) | (distance >= window)
    y, _ = layer(x, torch.ones(2, 11, dtype=torch.bool), None)
    torch.testing.assert_close(y, torchs(x, src_mask=hidden), atol=1e-5, rtol=1e-5)


def test_a_centred_convolution_is_torchs_with_padding():
    conv = DilatedConv(3, 5, dilation=4, causal=False)
    torchs = nn.Conv1d(3, 5, kernel_size=3, dilation=4, padding=4)
    torchs.load_state_dict(conv.conv.state_dict())
    x = torch.randn(2, 3, 20)
    torch.testing.assert_close(conv(x)[0], torchs(x))


def test_the_causal_mstcn_of_tecnos_size_is_tecno():
    sizes = {"stages": 2, "layers": 4, "maps": 5, "dropout": 0.5}
    tecno = Tecno(6, 4, **sizes).eval()
    ours = MsTcn(6, 4, causal=True, smoothing=0.0, **sizes).eval()
    names = [name.replace(".dilated.conv.", ".dilated.") for name in ours.state_dict()]
    weights = tecno.state_dict()
    ours.load_state_dict(dict(zip(ours.state_dict(), map(weights.get, names), strict=True)))
    features, mask = torch.randn(2, 30, 6), torch.ones(2, 30, dtype=torch.bool)
    expected = tecno(features, mask)
    for one, two in zip(ours(features, mask).logits, expected.logits, strict=True):
        torch.testing.assert_close(one, two)
    assert ours.receptive_field == tecno.receptive_field


def test_the_smoothing_loss_is_the_published_one():
    """As MS-TCN's authors compute it, for one video and one stage."""
    logits = torch.randn(1, 9, 4) * 8
    log_p = functional.log_softmax(logits, dim=2)
    squares = functional.mse_loss(log_p[:, 1:], log_p[:, :-1], reduction="none")
    assert (squares > 16).any()
    expected = squares.clamp(min=0, max=16).mean()
    mask = torch.ones(1, 9, dtype=torch.bool)
    torch.testing.assert_close(smoothing_loss([logits], mask), expected)
    two = torch.cat((logits, torch.full((1, 3, 4), 50.0)), dim=1)
    padded = torch.cat((mask, torch.zeros(1, 3, dtype=torch.bool)), dim=1)
    torch.testing.assert_close(smoothing_loss([two, two], padded), expected)


def test_the_smoothing_loss_moves_the_later_frame_only_and_is_none_for_a_single_one():
    logits = torch.randn(1, 2, 3, requires_grad=True)
    smoothing_loss([logits], torch.ones(1, 2, dtype=torch.bool)).backward()
    assert not logits.grad[:, 0].any()
    assert logits.grad[:, 1].any()
    assert smoothing_loss([logits[:, :1]], torch.ones(1, 1, dtype=torch.bool)) == 0
