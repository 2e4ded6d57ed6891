"""Test-time augmentation, against torchvision's views and the plain network."""

import h5py
import numpy as np
import pytest
import torch
from features_project import settings
from torchvision.transforms.v2 import functional

from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.feature_store import read_features
from pipeline.features import build, stage
from pipeline.features.identity import parts_of_all
from pipeline.features.params import FeaturesParams
from pipeline.features.rows import cosine
from pipeline.features.views import Mirrored, views
from pipeline.frame_store import FrameFile
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.transform import Transform
from pipeline.networks.backbones.transform_record import read_transform

TRANSFORM = Transform(73, 64, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def run(project, tta, video="video1", **values):
    settings(project, dtype="float32", **values)
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("crop: 64", f"crop: 64, tta: {tta}"))
    line = stage.run()
    return read_features(project / f"features/videos/{video}.h5"), line


@torch.inference_mode()
def by_hand(project, samples, views_of):
    """Features of each sample's views, as torchvision makes them, averaged in double precision."""
    tensors, header = load_checkpoint(project / "models/backbone.safetensors")
    network = build_backbone(header["name"]).network.eval()
    network.load_state_dict(tensors)
    transform = read_transform(header["transform"]).cropped(64)
    rows = []
    with FrameFile(project / "data/frames/video1.h5") as frames:
        for sample in samples:
            image = torch.from_numpy(frames.image(sample)).permute(2, 0, 1)
            resized = functional.resize(image, [transform.resize_px], antialias=True)
            shown = torch.stack(list(views_of(resized)))
            rows.append(network(transform.normalise(shown)).double().mean(dim=0).numpy())
    return np.stack(rows)


def flipped(resized):
    middle = functional.center_crop(resized, [64, 64])
    return middle, functional.hflip(middle)


def five(resized):
    return functional.five_crop(resized, [64, 64])


@pytest.mark.parametrize(("tta", "views_of"), [("flip", flipped), ("five_crop", five)])
def test_features_are_means_over_torchvisions_views(project, tta, views_of):
    found, line = run(project, tta)
    assert "2 computed" in line
    expected = by_hand(project, range(10), views_of)
    np.testing.assert_allclose(found.features, expected, rtol=1e-3, atol=1e-4)
    plain, _ = run(project, "none")
    assert np.abs(plain.features - expected).max() > 0.01
    assert found.attributes["tta"] == tta and f'"tta": "{tta}"' in found.attributes["recipe"]
    assert "tta" not in plain.attributes
    passes = {"flip": 2, "five_crop": 5}[tta]
    cost = "backbone_flops_per_frame"
    assert found.attributes[cost] == passes * plain.attributes[cost]


def test_other_precisions_average_the_same_views(project, monkeypatch):
    # Batches are filled up with empty images, which cost as much as frames.
    monkeypatch.setattr(build, "CPU_BATCH", 2)
    full, _ = run(project, "flip")
    for precision in ("bf16", "int8"):
        found, _ = run(project, "flip", precision=precision)
        assert cosine(found.features, full.features).min() > 0.99, precision
    # Of the same views in fp32; of the frames alone it would be lower.
    similar = cosine(found.features, full.features).mean()
    assert found.attributes["fp32_cosine_mean"] == pytest.approx(similar, abs=1e-5)


def test_a_lost_sample_repeats_the_row_before_it(project):
    with h5py.File(project / "data/frames/video1.h5", "r+") as file:
        file["lost"][4] = True
    found, _ = run(project, "flip")
    assert np.array_equal(found.features[4], found.features[3])
    expected = by_hand(project, [5], flipped)
    np.testing.assert_allclose(found.features[5:6], expected, rtol=1e-3, atol=1e-4)


def test_neither_batch_nor_workers_move_a_bit(project):
    one, _ = run(project, "five_crop", workers=1, batch=8)
    for path in (project / ".store/features").glob("*.h5"):
        path.unlink()
    other, line = run(project, "five_crop", workers=3, batch=5)
    assert "2 computed" in line and np.array_equal(one.features, other.features)


def test_without_augmentation_a_fingerprint_says_nothing_about_it():
    def parts(tta):
        return parts_of_all("resnet18", "w", TRANSFORM, FeaturesParams(tta=tta), [])

    assert parts("none")["params"] == {
        "precision": "fp32",
        "dtype": "float16",
        "decoder": "opencv",
    }
    assert parts("flip")["params"]["tta"] == "flip"
    # Its code counts only where it is used.
    assert len({parts(tta)["code"] for tta in ("none", "flip", "five_crop")}) == 2


def test_each_view_is_another_result_in_the_store(project):
    for tta in ("none", "flip", "five_crop"):
        assert "2 computed" in run(project, tta)[1]
    for tta in ("none", "flip", "five_crop"):
        assert "0 computed" in run(project, tta)[1]


def test_views_work_for_a_batch_on_the_gpus_decoder_as_for_an_image():
    """nvjpeg prepares whole batches, on the device."""
    images = torch.randint(0, 256, (3, 3, 80, 120), dtype=torch.uint8)
    for tta in ("flip", "five_crop"):
        for view in views(TRANSFORM, tta):
            together = view.prepare(images)
            assert together.shape == (3, 3, 64, 64)
            for row, image in enumerate(images):
                assert torch.equal(together[row], view.prepare(image))


def test_a_network_of_blue_green_red_gets_its_channels_in_every_view():
    bgr = Transform(73, 64, "bilinear", (0, 0, 0), (1, 1, 1), channels="bgr")
    image = torch.randint(0, 256, (3, 80, 120), dtype=torch.uint8)
    for tta in ("flip", "five_crop"):
        for ours, theirs in zip(views(bgr, tta), views(TRANSFORM, tta), strict=True):
            assert torch.equal(ours.prepare(image), theirs.prepare(image).flip(0))


def test_the_frames_of_a_clip_are_mirrored_alike():
    (view,) = (v for v in views(TRANSFORM, "flip") if isinstance(v, Mirrored))
    clip = torch.randint(0, 256, (4, 3, 80, 120), dtype=torch.uint8)
    assert torch.equal(view.prepare(clip), TRANSFORM.prepare(clip).flip(-1))


def test_a_view_that_does_not_exist_is_named_with_those_that_do(project):
    with pytest.raises(PipelineError, match=r"features\.tta: found 'ten_crop'.*'five_crop'"):
        run(project, "ten_crop")


def test_a_crop_that_is_larger_than_the_frame_has_no_corners():
    with pytest.raises(PipelineError, match=r"features\.tta: found five_crop.*none, flip"):
        views(Transform(64, 80, "bilinear", (0, 0, 0), (1, 1, 1)), "five_crop")
