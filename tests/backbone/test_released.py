import urllib.error

import numpy as np
import pytest
import torch
import torchvision
from checkpoints import (
    convnextv2,
    dino_state,
    empty,
    metaformer,
    prefixed,
    pvtv2,
    shapes_of,
    timm_shapes,
    vissl_state,
)

from pipeline.backbone import stage
from pipeline.backbone.weights import initial_weights, released_weights
from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.networks.backbones import build_backbone, names, resize_px
from pipeline.networks.backbones.surgical import ENCODERS
from pipeline.networks.backbones.timm_models import _architecture

HEAD = {"head.mlp.0.weight": empty(4, 4), "head.last_layer.weight_v": empty(4, 4)}


def resnet50():
    with torch.device("meta"):
        shapes = shapes_of(torchvision.models.resnet50(weights=None))
    return {name: t for name, t in shapes.items() if not name.startswith("fc.")}


def convnext_large():
    with torch.device("meta"):
        shapes = shapes_of(torchvision.models.convnext_large(weights=None))
    return {name: t for name, t in shapes.items() if not name.startswith("classifier.2.")}


def surgvlp():
    image = prefixed("model.", resnet50()) | {"global_embedder.weight": empty(768, 2048)}
    text = {"model.embeddings.word_embeddings.weight": empty(9, 768)}
    return prefixed("backbone_img.", image) | prefixed("backbone_text.", text)


def endovit():
    decoder = {"mask_token": empty(1, 1, 512), "decoder_embed.weight": empty(512, 768)}
    encoder = timm_shapes("timm/vit_base_patch16_224")
    return {"model": encoder | decoder, "epoch": 14}


def lemonfm():
    return dino_state(prefixed("backbone.", convnext_large()) | HEAD)


def pl_stitch():
    encoder = timm_shapes("timm/vit_base_patch16_224") | {"masked_embed": empty(1, 768)}
    return dino_state(prefixed("backbone.", encoder) | HEAD)


def dinov2(size):
    name = f"timm/vit_{size}_patch14_336_dinov2"
    return lambda: timm_shapes(name) | {"mask_token": empty(1, 384)}


def dinov3(size):
    extra = {"mask_token": empty(1, 384), "rope_embed.periods": empty(16)}
    return lambda: timm_shapes(f"timm/vit_{size}_patch16_336_dinov3_noreg") | extra


def surgenet():
    head = {"head.fc1.weight": empty(2048, 512)}
    return metaformer(timm_shapes("timm/caformer_s18_relu")) | head


LAYOUTS = {
    "endovit": endovit,
    "endovit-spr": endovit,
    "lemonfm": lemonfm,
    "pl-stitch": pl_stitch,
    "surgenet": surgenet,
    "surgenet-convnextv2": lambda: {
        "model": convnextv2(timm_shapes("timm/convnextv2_tiny")) | {"head.bias": empty(12)}
    },
    "surgenet-pvtv2": lambda: pvtv2(timm_shapes("timm/pvt_v2_b2")) | {"head.bias": empty(12)},
    "surgenet-dino-v1-s": lambda: timm_shapes("timm/vit_small_patch16_224"),
    "surgenet-dino-v1-b": lambda: timm_shapes("timm/vit_base_patch16_224"),
    "surgenet-dino-v2-s": dinov2("small"),
    "surgenet-dino-v2-b": dinov2("base"),
    "surgenet-dino-v2-l": dinov2("large"),
    "surgenet-dino-v3-s": dinov3("small"),
    "surgenet-dino-v3-b": dinov3("base"),
    "surgenet-dino-v3-l": dinov3("large"),
    "selfsupsurg-moco": lambda: vissl_state(resnet50()),
    "selfsupsurg-dino": lambda: vissl_state(resnet50()),
    "surgvlp": surgvlp,
}


@pytest.mark.parametrize("released", LAYOUTS)
def test_a_checkpoint_laid_out_as_released_gives_every_tensor_of_the_backbone(tmp_path, released):
    torch.save(LAYOUTS[released](), tmp_path / "file.pth")
    name = ENCODERS[released].architecture
    tensors, source = released_weights(name, f"{released}:{tmp_path / 'file.pth'}")
    with torch.device("meta"):
        expected = build_backbone(name).network.state_dict()
    assert {k: t.shape for k, t in tensors.items()} == {k: t.shape for k, t in expected.items()}
    assert source["weights"] == released
    assert source["weights_licence"] and source["weights_page"].startswith("https://")


def test_every_row_names_an_architecture_that_is_there():
    for name in {encoder.architecture for encoder in ENCODERS.values()}:
        if name.startswith("timm/"):
            _architecture(name)
        else:
            assert name in names()


def project(folder, weights, layout):
    torch.manual_seed(2)
    trunk = build_backbone("resnet50").network.state_dict()
    torch.save(vissl_state(dict(trunk)), folder / "swav.torch")
    (folder / "params.yaml").write_text(
        f"seed: 1\ndata: {{root: x, layout: {layout}}}\n"
        f"backbone: {{name: resnet50, weights: '{weights}', mode: frozen}}\n"
    )
    return trunk


def test_numbers_licence_and_leak_come_through_the_stage(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trunk = project(tmp_path, "selfsupsurg-swav:swav.torch", "cholec80")
    stage.run()
    tensors, header = load_checkpoint(tmp_path / "models/backbone.safetensors")
    assert torch.equal(tensors["layer4.2.conv3.weight"], trunk["layer4.2.conv3.weight"])
    assert header["weights"] == "selfsupsurg-swav"
    assert header["weights_licence"] == "CC BY-NC-SA 4.0"
    assert "training videos" in header["weights_leak"]
    assert header["transform"] == {
        "kind": "stretched",
        "resize_px": 224,
        "width_px": 399,
        "crop_px": 224,
        "interpolation": "bilinear",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "channels": "rgb",
    }
    assert "selfsupsurg-swav: pretrained on the training videos" in capsys.readouterr().err


def test_other_datasets_are_not_warned_of_cholec80(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    project(tmp_path, "selfsupsurg-swav:swav.torch", "cataract101")
    stage.run()
    assert "too high" not in capsys.readouterr().err


def test_numbers_that_numpy_1_wrote_are_read(tmp_path):
    state = vissl_state(resnet50())
    torch.save(state, tmp_path / "new.torch")
    path = tmp_path / "old.torch"
    path.write_bytes(_as_numpy_1(tmp_path / "new.torch"))
    released_weights("resnet50", f"selfsupsurg-moco:{path}")


def _as_numpy_1(path):
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for item in old.infolist():
            data = old.read(item)
            if item.filename.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in data
                data = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            new.writestr(item.filename, data)
    return out.getvalue()


def test_starrelu_in_place_of_relu_is_noticed(tmp_path):
    torch.save(metaformer(timm_shapes("timm/caformer_s18")), tmp_path / "file.pth")
    with pytest.raises(PipelineError, match=r"unexpected.*act"):
        released_weights("timm/caformer_s18_relu", f"surgenet:{tmp_path / 'file.pth'}")


def test_a_file_that_lacks_tensors_lists_them_and_says_how_many_fit(tmp_path):
    tensors = resnet50()
    for name in ("conv1.weight", "layer1.0.conv1.weight"):
        del tensors[name]
    torch.save(vissl_state(tensors), tmp_path / "file.pth")
    with pytest.raises(
        PipelineError, match=r"316 of its 318 tensors fit(.|\n)*missing \(2\): conv1.weight, layer1"
    ):
        released_weights("resnet50", f"selfsupsurg-moco:{tmp_path / 'file.pth'}")


def test_another_layout_says_what_was_expected_and_found(tmp_path):
    torch.save({"weights": {}, "epoch": 1}, tmp_path / "file.pth")
    with pytest.raises(PipelineError, match=r"below teacher, found weights, epoch.*LEMON"):
        released_weights("convnext_large", f"lemonfm:{tmp_path / 'file.pth'}")


def test_the_architecture_of_released_weights_is_named():
    with pytest.raises(PipelineError, match=r"lemonfm belongs to.*Set backbone.name: convnext_lar"):
        initial_weights("convnext_tiny", "lemonfm", 1)


def test_without_network_it_says_what_to_fetch_and_how_to_name_it(tmp_path, monkeypatch):
    def no_network(*_args):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(
        PipelineError,
        match=r"not known.*visurg/LemonFM/resolve/main/lemonfm.pth, put.*lemonfm:/path/to",
    ):
        initial_weights("convnext_large", "lemonfm", 1)
    with pytest.raises(
        PipelineError, match=r"by a program. Fetch it from https://github.com/CAMMA"
    ):
        initial_weights("resnet50", "peskavlp", 1)
    with pytest.raises(PipelineError, match=r"gone.pth does not exist. Fetch it from https://hugg"):
        initial_weights("convnext_large", "lemonfm:gone.pth", 1)


def test_the_transform_of_released_weights_is_known_before_they_are_fetched():
    assert resize_px("resnet50", "surgvlp", None) == 360
    assert resize_px("resnet50", "surgvlp:/path/file.pth", 112) == 180


def test_an_image_is_stretched_to_the_size_of_the_training():
    wide = torch.zeros(3, 100, 300, dtype=torch.uint8)
    wide[..., 150:] = 255
    transform = ENCODERS["surgvlp"].transform
    seen = transform.prepare(wide)
    assert seen.shape == (3, 224, 224)
    assert np.unique(seen[:, :, :108]).tolist() == [0]
    assert np.unique(seen[:, :, 116:]).tolist() == [255]
    half = transform.cropped(112)
    assert (half.resize_px, half.width_px, half.crop_px) == (180, 320, 112)
    assert transform.cropped(None) is transform
