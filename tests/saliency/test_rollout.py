"""Attention rollout, and attention matrices out of other libraries' networks."""

import pytest
import torch
from torch.nn import functional
from toy_networks import convolutions, transformer

from pipeline.saliency.moment import attention_heat
from pipeline.saliency.rollout import attentions_of, patch_shares, rollout


def test_rollout_by_hand():
    """Two layers, two tokens; the first layer has two heads."""
    first = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]]])
    second = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])
    # Heads averaged, half identity: [[3, 1], [1, 3]] / 4, then [[1, 1], [0, 2]] / 2.
    expected = torch.tensor([[[0.5, 0.5], [0.25, 0.75]]])
    assert torch.equal(rollout([first, second]), expected)


def test_rows_of_a_rollout_sum_to_one():
    generator = torch.Generator().manual_seed(0)
    layers = [torch.randn(2, 3, 10, 10, generator=generator).softmax(-1) for _ in range(4)]
    torch.testing.assert_close(rollout(layers).sum(-1), torch.ones(2, 10))


def test_shares_of_patches_are_those_of_the_token_or_the_mean():
    flow = torch.arange(100.0).reshape(1, 10, 10)
    assert patch_shares(flow)[0].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    flow = torch.arange(16.0).reshape(1, 4, 4)
    assert patch_shares(flow)[0].tolist() == [[6, 7], [8, 9]]
    registers = torch.arange(81.0).reshape(1, 9, 9)
    assert patch_shares(registers[:, :8, :8])[0].tolist() == [[4, 5], [6, 7]]
    assert patch_shares(torch.zeros(1, 15, 15)) is None  # no square with up to five more


@torch.no_grad()
def test_matrices_of_torchvisions_transformer_give_what_its_layers_return():
    torch.manual_seed(0)
    vit = transformer().network
    images = torch.randn(3, 3, 16, 16)
    before = vit(images)
    found = attentions_of(vit, images)
    assert [matrix.shape for matrix in found] == [(3, 2, 17, 17)] * 2
    layer = vit.encoder.layers[0]
    tokens = torch.cat((vit.class_token.expand(3, -1, -1), vit._process_input(images)), dim=1)
    tokens = layer.ln_1(tokens + vit.encoder.pos_embedding)
    query, key, _ = (
        part.unflatten(2, (2, 4)).transpose(1, 2)
        for part in functional.linear(
            tokens, layer.self_attention.in_proj_weight, layer.self_attention.in_proj_bias
        ).chunk(3, dim=2)
    )
    torch.testing.assert_close(found[0], (query @ key.transpose(2, 3) / 2).softmax(-1))
    torch.testing.assert_close(vit(images), before)  # no hook is left behind
    assert not any(module._forward_hooks for module in vit.modules())


@torch.no_grad()
def test_matrices_of_timms_transformer_give_what_its_attention_returns():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    vit = timm.models.vision_transformer.VisionTransformer(
        img_size=16, patch_size=4, embed_dim=8, depth=2, num_heads=2, num_classes=0, qk_norm=True
    ).eval()
    attention, kept = vit.blocks[1].attn, {}
    hook = attention.register_forward_hook(
        lambda _, inputs, output: kept.update(given=inputs[0], returned=output)
    )
    found = attentions_of(vit, torch.randn(2, 3, 16, 16))
    hook.remove()
    assert [matrix.shape for matrix in found] == [(2, 2, 17, 17)] * 2
    values = attention.qkv(kept["given"]).unflatten(2, (3, 2, 4))[:, :, 2].transpose(1, 2)
    mixed = (found[1] @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention.proj(mixed), kept["returned"])


def test_a_network_without_attention_has_no_matrices():
    assert attentions_of(convolutions().network, torch.zeros(1, 3, 16, 16)) == []


def test_attention_is_drawn_on_the_patches_up_to_its_maximum():
    torch.manual_seed(0)
    image = torch.randn(1, 3, 16, 16)
    heat = attention_heat(transformer(), image)
    assert heat.shape == (4, 4) and heat.max() == 1 and heat.min() > 0
    assert attention_heat(convolutions(), image) is None
