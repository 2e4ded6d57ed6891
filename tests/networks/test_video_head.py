"""One answer per video, whatever kind of temporal network sees the frames."""

import pytest
import torch

from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.video_head import KindOfVideos

D, C = 5, 3
MODELS = [
    ("rnn", {"hidden": 6}),
    ("rnn", {"hidden": 6, "bidirectional": True}),
    ("tecno", {"stages": 2, "layers": 3, "maps": 4}),
]
POOLINGS = ("attention", "mean", "last")


def network(kind, numbers, pooling):
    torch.manual_seed(0)
    built = KindOfVideos(KINDS[kind], pooling).build(D, C, KINDS[kind].Params(**numbers))
    built.standardise.fit(torch.randn(D), 1 + torch.rand(D))
    return built.eval()


def videos(*lengths):
    """Features padded with noise, and their mask."""
    torch.manual_seed(1)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return torch.randn(len(lengths), max(lengths), D), mask


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(("kind", "numbers"), MODELS)
@torch.no_grad()
def test_padding_and_the_other_videos_of_the_batch_change_no_answer(kind, numbers, pooling):
    built, (features, mask) = network(kind, numbers, pooling), videos(9, 14, 4)
    (together,) = built(features, mask).logits
    assert together.shape == (3, 1, C)
    (turned,) = built(features.flip(0), mask.flip(0)).logits
    torch.testing.assert_close(turned.flip(0), together)
    for row, length in enumerate((9, 14, 4)):
        one = features[row : row + 1, :length], mask[row : row + 1, :length]
        torch.testing.assert_close(built(*one).logits[0][0], together[row])
        torch.testing.assert_close(
            built.attention(*one)[0], built.attention(features, mask)[row, :length]
        )


@pytest.mark.parametrize("pooling", POOLINGS)
@torch.no_grad()
def test_attention_is_a_share_of_the_frames_and_says_what_was_pooled(pooling):
    built, (features, mask) = network("rnn", {"hidden": 6}, pooling), videos(9, 4)
    weights = built.attention(features, mask)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    assert (weights[~mask] == 0).all()
    if pooling == "mean":
        torch.testing.assert_close(weights[1, :4], torch.full((4,), 0.25))
    if pooling == "last":
        assert weights[0, 8] == weights[1, 3] == 1
    outputs = built.frames(built.standardise(features), mask).logits[-1]
    pooled = torch.stack([w @ h for w, h in zip(weights, outputs, strict=True)])
    torch.testing.assert_close(built.answer(pooled), built(features, mask).logits[0][:, 0])


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("kind", ["rnn", "tecno"])
@torch.no_grad()
def test_a_causal_network_answers_at_each_frame_as_for_the_video_so_far(kind, pooling):
    built = network(kind, dict(MODELS)[kind] if kind == "tecno" else {"hidden": 6}, pooling)
    features, mask = videos(7)
    state = None
    for frame in range(7):
        so_far, state = built.step(features[:, frame], state)
        whole = built(features[:, : frame + 1], mask[:, : frame + 1]).logits[0][:, 0]
        torch.testing.assert_close(so_far, whole, atol=1e-5, rtol=1e-5)


def test_a_network_that_looks_into_the_future_gives_no_answer_so_far():
    built = network("rnn", {"hidden": 6, "bidirectional": True}, "mean")
    with pytest.raises(NotImplementedError, match="cannot run live"):
        built.step(torch.zeros(1, D))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_can_answer_for_a_video_and_learns_in_all_its_weights(kind):
    torch.manual_seed(0)
    built = KindOfVideos(KINDS[kind], "attention").build(D, C, KINDS[kind].Params())
    features, mask = videos(20, 12)
    outputs = built(features, mask)
    assert outputs.logits[0].shape == (2, 1, C)
    assert built.extra_loss(outputs, torch.zeros(2, 20, dtype=torch.int64), mask) is None
    outputs.logits[0].square().sum().backward()
    assert built.answer.weight.grad is not None
    assert any(p.grad is not None and p.grad.any() for p in built.frames.parameters())
