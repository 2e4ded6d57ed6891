"""Published files of clip transformers in the layout of their authors' own code."""

import pytest
import torch
from clip_weights import close, with_weights
from small_transformers import DIM, HEADS, LAYERS, SIDE, small_transformers
from torch.nn.functional import conv2d, conv3d, gelu, layer_norm, linear

from pipeline.networks.backbones.videomae import sinusoids

PATCHES = SIDE // 16


class Upstream:
    """Plain computations on tensors under the names of upstream's own code."""

    def __init__(self, **shapes):
        generator = torch.Generator().manual_seed(0)
        self.tensors = {
            name.replace("__", "."): 0.2 * torch.randn(shape, generator=generator)
            for name, shape in shapes.items()
        }

    def linear(self, name, x):
        return linear(x, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])

    def norm(self, name, x):
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return layer_norm(x, (DIM,), weight, bias)

    def attention(self, name, x, bias):
        joint = linear(x, self.tensors[f"{name}.qkv.weight"], bias)
        query, key, value = (
            part.unflatten(-1, (HEADS, -1)).transpose(-2, -3) for part in joint.chunk(3, dim=-1)
        )
        weights = (query @ key.transpose(-1, -2) / (DIM / HEADS) ** 0.5).softmax(dim=-1)
        return self.linear(f"{name}.proj", (weights @ value).transpose(-2, -3).flatten(-2))

    def mlp(self, name, x):
        return self.linear(f"{name}.fc2", gelu(self.linear(f"{name}.fc1", x)))


def of_layer(name, rows, columns=DIM):
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def of_norm(name):
    return {f"{name}.weight": (DIM,), f"{name}.bias": (DIM,)}


def of_block(block):
    return {
        **of_norm(f"{block}.norm1"),
        **of_norm(f"{block}.norm2"),
        **of_layer(f"{block}.attn.proj", DIM),
        **of_layer(f"{block}.mlp.fc1", 4 * DIM),
        **of_layer(f"{block}.mlp.fc2", DIM, 4 * DIM),
    }


@torch.inference_mode()
def test_videomae_reads_the_files_of_its_own_code():
    pytest.importorskip("transformers", reason="the extra hf is not installed")
    shapes = {
        "patch_embed.proj.weight": (DIM, 3, 2, 16, 16),
        "patch_embed.proj.bias": (DIM,),
        **of_norm("fc_norm"),
    }
    for row in range(LAYERS):
        shapes |= of_block(f"blocks.{row}")
        shapes[f"blocks.{row}.attn.qkv.weight"] = (3 * DIM, DIM)
        shapes[f"blocks.{row}.attn.q_bias"] = shapes[f"blocks.{row}.attn.v_bias"] = (DIM,)
    upstream = Upstream(**shapes)
    tensors = upstream.tensors
    clips = torch.randn(2, 4, 3, SIDE, SIDE)

    patches = conv3d(
        clips.transpose(1, 2),
        tensors["patch_embed.proj.weight"],
        tensors["patch_embed.proj.bias"],
        stride=(2, 16, 16),
    )
    x = patches.flatten(2).transpose(1, 2)
    x = x + sinusoids(x.shape[1], DIM)
    for row in range(LAYERS):
        block = f"blocks.{row}"
        q_bias, v_bias = (tensors[f"{block}.attn.{part}_bias"] for part in "qv")
        bias = torch.cat([q_bias, torch.zeros(DIM), v_bias])
        x = x + upstream.attention(f"{block}.attn", upstream.norm(f"{block}.norm1", x), bias)
        x = x + upstream.mlp(f"{block}.mlp", upstream.norm(f"{block}.norm2", x))
    expected = upstream.norm("fc_norm", x.mean(dim=1))

    file = {f"module.{name}": tensor for name, tensor in tensors.items()}
    with small_transformers():
        backbone = with_weights("videomae_base@4", {**file, "head.weight": torch.zeros(9, DIM)})
        close(backbone.network(clips), expected)
        # Before any labels: its encoder beside a decoder, and a norm of tokens.
        pretrained = {f"encoder.{n}": t for n, t in tensors.items() if "fc_norm" not in n}
        pretrained |= {
            "encoder.norm.weight": torch.randn(DIM),
            "encoder.norm.bias": torch.randn(DIM),
        }
        pretrained |= {"decoder.blocks.0.norm1.weight": torch.ones(9), "mask_token": torch.ones(9)}
        pretrained["encoder_to_decoder.weight"] = torch.ones(9, DIM)
        backbone = with_weights("videomae_base@4", pretrained)
    close(backbone.network(clips), layer_norm(x.mean(dim=1), (DIM,)))


@torch.inference_mode()
def test_timesformer_reads_the_files_of_endo_fm():
    pytest.importorskip("transformers", reason="the extra hf is not installed")
    frames, count = 3, PATCHES**2
    shapes = {
        "cls_token": (1, 1, DIM),
        "pos_embed": (1, 1 + count, DIM),
        "time_embed": (1, frames, DIM),
        "patch_embed.proj.weight": (DIM, 3, 16, 16),
        "patch_embed.proj.bias": (DIM,),
        **of_norm("norm"),
    }
    for row in range(LAYERS):
        block = f"blocks.{row}"
        shapes |= of_block(block)
        shapes |= of_layer(f"{block}.attn.qkv", 3 * DIM)
        shapes |= of_norm(f"{block}.temporal_norm1")
        shapes |= of_layer(f"{block}.temporal_attn.qkv", 3 * DIM)
        shapes |= of_layer(f"{block}.temporal_attn.proj", DIM)
        shapes |= of_layer(f"{block}.temporal_fc", DIM)
    upstream = Upstream(**shapes)
    tensors = upstream.tensors
    clips = torch.randn(2, frames, 3, SIDE, SIDE)

    patches = conv2d(
        clips.flatten(0, 1),
        tensors["patch_embed.proj.weight"],
        tensors["patch_embed.proj.bias"],
        stride=16,
    )
    x = patches.flatten(2).transpose(1, 2).unflatten(0, (2, frames))  # (B, T, P, D)
    x = x + tensors["pos_embed"][:, None, 1:] + tensors["time_embed"][:, :, None]
    token = (tensors["cls_token"] + tensors["pos_embed"][:, :1]).expand(2, 1, DIM)
    for row in range(LAYERS):
        block = f"blocks.{row}"
        through_time = upstream.norm(f"{block}.temporal_norm1", x).transpose(1, 2)
        bias = tensors[f"{block}.temporal_attn.qkv.bias"]
        seen = upstream.attention(f"{block}.temporal_attn", through_time, bias).transpose(1, 2)
        x = x + upstream.linear(f"{block}.temporal_fc", seen)
        within = torch.cat([token[:, None].expand(2, frames, 1, DIM), x], dim=2)
        bias = tensors[f"{block}.attn.qkv.bias"]
        seen = upstream.attention(f"{block}.attn", upstream.norm(f"{block}.norm1", within), bias)
        token = token + seen[:, :, 0].mean(dim=1, keepdim=True)
        x = x + seen[:, :, 1:]
        token = token + upstream.mlp(f"{block}.mlp", upstream.norm(f"{block}.norm2", token))
        x = x + upstream.mlp(f"{block}.mlp", upstream.norm(f"{block}.norm2", x))
    expected = upstream.norm("norm", token[:, 0])

    file = {f"backbone.{name}": tensor for name, tensor in tensors.items()}
    file["head.mlp.0.weight"] = torch.zeros(9, DIM)
    with small_transformers():
        backbone = with_weights(f"timesformer_base@{frames}", file)
    close(backbone.network(clips), expected)
