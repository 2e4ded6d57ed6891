"""Published weights of networks that read clips: their names, and what they compute."""

import sys
from pathlib import Path

import pytest
import torch
import torchvision
from clip_weights import close, with_weights
from small_transformers import DIM, HEADS, LAYERS, SIDE, small_transformers
from torch import nn

from pipeline.backbone.weights import fit_to
from pipeline.errors import PipelineError
from pipeline.networks.backbones import build_backbone, clip_family, slowfast
from pipeline.networks.backbones.hugging_face import transformers_module

REFERENCE = Path(__file__).with_name("pytorchvideo_tensors.txt")


def varied(network):
    """With statistics of batch norm that do something, and signals that do not fade."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight)
            if isinstance(module, nn.BatchNorm3d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize(
    ("name", "frames", "side"),
    [
        ("r2plus1d_18", 8, 48),
        ("r3d_18", 8, 48),
        ("mc3_18", 8, 48),
        ("s3d", 14, 224),
        ("swin3d_t", 5, 64),
        ("mvit_v2_s", 4, 224),
    ],
)
@torch.inference_mode()
def test_torchvision_classifies_these_features_as_its_own(name, frames, side):
    torch.manual_seed(0)
    upstream = varied(torchvision.models.get_model(name, weights=None))
    if name.startswith("mvit"):
        # It builds networks for 16 frames alone, which compute fewer when they are told of them.
        upstream.pos_encoding.temporal_size = frames // 2
    backbone = with_weights(f"{name}@{frames}", upstream.state_dict())
    clip = torch.randn(1, frames, 3, side, side)
    features = backbone.network(clip)
    if name == "s3d":
        found = upstream.classifier(features[:, :, None, None, None]).flatten(1)
    else:
        found = (upstream.fc if hasattr(upstream, "fc") else upstream.head)(features)
    close(found, upstream(clip.transpose(1, 2)))


def published_tensors():
    """Network names to tensors as PyTorchVideo's files hold them."""
    for part in REFERENCE.read_text().split("[")[1:]:
        header, *lines = part.splitlines()
        tensors = {}
        for line in lines:
            name, shape, *blocks = line.split()
            sizes = [] if shape == "scalar" else [int(size) for size in shape.split("x")]
            for block in blocks[0].split(",") if blocks else [""]:
                tensors[name.replace("*", block)] = torch.empty(sizes, device="meta")
        for name in header.rstrip("]").split():
            yield name, tensors


PUBLISHED = dict(published_tensors())


@pytest.mark.parametrize("name", PUBLISHED)
def test_files_of_pytorchvideo_fit(name):
    tensors = PUBLISHED[name]
    frames = clip_family(name).clip_size(name).frames
    with torch.device("meta"):
        assert fit_to(f"{name}@{frames}", tensors, "a file")


def test_34_layers_are_as_large_as_their_file():
    """https://github.com/moabitcoin/ig65m-pytorch: 255,061,555 bytes with 400 classes."""
    with torch.device("meta"):
        network = build_backbone("r2plus1d_34@32").network
    numbers = sum(tensor.numel() for tensor in network.state_dict().values()) + 400 * 513
    assert 4 * numbers == pytest.approx(255_061_555, rel=1e-3)


def test_positions_of_mvit_v2_stretch_and_those_of_v1_do_not():
    with torch.device("meta"):
        published = torchvision.models.get_model("mvit_v2_s", weights=None).state_dict()
        assert fit_to("mvit_v2_s@8", published, "a file")
        published = torchvision.models.get_model("mvit_v1_b", weights=None).state_dict()
        assert fit_to("mvit_v1_b@16", published, "a file")
        with pytest.raises(PipelineError, match=r"temporal_pos \(8, 96\) instead of \(4, 96\)"):
            fit_to("mvit_v1_b@8", published, "a file")


@pytest.mark.parametrize("frames", range(8, 132, 4))
def test_the_slow_pathway_takes_the_published_frames(frames):
    expected = torch.linspace(0, frames - 1, frames // 4).long().tolist()
    assert slowfast.TwoRates(frames).slow == expected
    assert expected[-1] == frames - 1


def small(module, config, frames, **others):
    """A network of transformers itself, of the size of small_transformers."""
    transformers = pytest.importorskip("transformers", reason="the extra hf is not installed")
    torch.manual_seed(0)
    sizes = {
        "hidden_size": DIM,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "attn_implementation": "eager",
        **others,
    }
    network = getattr(transformers, module)(getattr(transformers, config)(**sizes)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.2)
    return network, torch.randn(2, frames, 3, SIDE, SIDE)


def transformers_videomae():
    return small(
        "VideoMAEForVideoClassification",
        "VideoMAEConfig",
        4,
        num_frames=4,
        image_size=SIDE,
        intermediate_size=4 * DIM,
        num_labels=0,
    )


def transformers_vivit():
    return small(
        "VivitForVideoClassification",
        "VivitConfig",
        4,
        num_frames=4,
        image_size=SIDE,
        intermediate_size=4 * DIM,
        num_labels=0,
    )


@torch.inference_mode()
def test_videomae_is_that_of_transformers():
    upstream, clips = transformers_videomae()
    with small_transformers():
        backbone = with_weights("videomae_base@4", upstream.state_dict())
    close(backbone.network(clips), upstream(clips).logits)


@torch.inference_mode()
def test_vivit_is_that_of_transformers():
    upstream, clips = transformers_vivit()
    with small_transformers():
        backbone = with_weights("vivit_b@4", upstream.state_dict())
    close(backbone.network(clips), upstream(clips).logits)


@torch.inference_mode()
def test_timesformer_is_that_of_transformers():
    upstream, clips = small(
        "TimesformerModel",
        "TimesformerConfig",
        3,
        num_frames=3,
        image_size=SIDE,
        intermediate_size=4 * DIM,
    )
    tensors = {f"timesformer.{name}": tensor for name, tensor in upstream.state_dict().items()}
    with small_transformers():
        backbone = with_weights("timesformer_base@3", tensors)
    close(backbone.network(clips), upstream(clips).last_hidden_state[:, 0])


@torch.inference_mode()
def test_vjepa2_is_that_of_transformers():
    upstream, clips = small(
        "VJEPA2Model", "VJEPA2Config", 4, frames_per_clip=4, crop_size=SIDE, pred_hidden_size=24
    )
    with small_transformers():
        backbone = with_weights("vjepa2_large@4", upstream.state_dict())
    expected = upstream(clips, skip_predictor=True).last_hidden_state.mean(dim=1)
    close(backbone.network(clips), expected)


def test_older_names_of_published_files_are_known():
    """Biases of VideoMAE, and layers of ViViT, were called otherwise when they were published."""
    upstream, _ = transformers_videomae()
    tensors = upstream.state_dict()
    older = {
        name.replace("query.bias", "q_bias").replace("value.bias", "v_bias"): tensor
        for name, tensor in tensors.items()
    }
    assert "videomae.encoder.layer.1.attention.attention.q_bias" in older
    with small_transformers():
        expected = fit_to("videomae_base@4", tensors, "a file")
        assert all(fit_to("videomae_base@4", older, "a file")[n] is t for n, t in expected.items())

    upstream, _ = transformers_vivit()
    tensors = upstream.state_dict()
    older = {}
    for name, tensor in tensors.items():
        name = name.replace("vivit.layers.", "vivit.encoder.layer.")
        for new, old in (
            ("attention.q_proj", "attention.attention.query"),
            ("attention.k_proj", "attention.attention.key"),
            ("attention.v_proj", "attention.attention.value"),
            ("attention.o_proj", "attention.output.dense"),
            ("mlp.fc1", "intermediate.dense"),
            ("mlp.fc2", "output.dense"),
        ):
            name = name.replace(new, old)
        older[name] = tensor
    assert "vivit.encoder.layer.1.attention.output.dense.weight" in older
    with small_transformers():
        expected = fit_to("vivit_b@4", tensors, "a file")
        assert all(fit_to("vivit_b@4", older, "a file")[n] is t for n, t in expected.items())


def test_a_missing_library_is_named_with_the_line_that_installs_it(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "transformers"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(PipelineError, match=r"pip install 'surgical-phase-pipeline\[hf\]'"):
        transformers_module("vivit.modeling_vivit")
