from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from features_project import add_video, forget, hashes, settings
from torch import nn

from pipeline.backbone import stage as backbone_stage
from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.feature_store import read_features
from pipeline.features import build, precision, quantise, stage
from pipeline.features.devices import advice, devices_for
from pipeline.features.params import FeaturesParams
from pipeline.features.quantisation_frames import VIDEOS, evenly_spaced, quantisation_videos
from pipeline.features.rows import cosine
from pipeline.frame_store import FrameFile, write_frames
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.transform import Transform
from pipeline.runtime import RuntimeParams
from pipeline.settings import read_section


def run(project, precision, name="video1", dtype="float32"):
    settings(project, precision=precision, dtype=dtype)
    stage.run()
    return read_features(project / f"features/videos/{name}.h5")


def test_each_int8_file_says_how_close_it_is_to_fp32(project):
    full, small = run(project, "fp32"), run(project, "int8")
    # It has finer steps than its 256 levels.
    assert len(np.unique(small.features)) > 256
    assert small.attributes["precision"] == "int8"
    assert small.attributes["fp32_cosine_frames"] == 10
    similar = cosine(small.features, full.features)
    assert small.attributes["fp32_cosine_mean"] == pytest.approx(similar.mean(), abs=1e-5)
    assert small.attributes["fp32_cosine_min"] == pytest.approx(similar.min(), abs=1e-5)
    assert 0.99 < similar.min() < 1
    assert "fp32_cosine_mean" not in full.attributes


def test_int8_does_not_depend_on_batch_or_workers(project):
    run(project, "int8", dtype="float16")
    first = hashes(project / "features/videos")
    settings(project, precision="int8", workers=3, batch=5)
    forget(project)
    stage.run()
    assert hashes(project / "features/videos") == first


def test_int8_takes_its_scales_from_training_videos_only(project):
    before = run(project, "int8").attributes["fingerprint"]
    # Frames of another test video change nothing, those of another training video do.
    add_video(project, "video2", 5, 2)
    splits = project / "data/index/splits.csv"
    splits.write_text("video,split\nvideo0,train\nvideo1,test\nvideo2,test\n")
    assert run(project, "int8").attributes["fingerprint"] == before
    splits.write_text("video,split\nvideo0,train\nvideo1,test\nvideo2,train\n")
    assert run(project, "int8").attributes["fingerprint"] != before


def test_int8_of_all_folds_takes_the_scales_of_each_from_its_training_videos(project, monkeypatch):
    seen = {}

    def fill(output, containers, whole, plan, taken):
        seen[output.name] = plan.fold, [path.stem for path in plan.quantisation]
        return len(containers)

    monkeypatch.setattr(stage, "_fill", fill)
    settings(project, precision="int8")
    rows = "1,video0,train\n1,video1,test\n2,video0,test\n2,video1,train\n"
    (project / "data/index/splits.csv").write_text(f"fold,video,split\n{rows}")
    assert stage.run() == "features/videos: 2 videos in each of 2 folds, 4 computed"
    assert seen == {"fold_1": (1, ["video0"]), "fold_2": (2, ["video1"])}


def test_the_frames_that_int8_is_scaled_by_are_those_of_the_training_video(project, monkeypatch):
    seen = []

    def watched(folded, images, in_full):
        seen.extend(images)
        return quantise.quantise(folded, seen, in_full)

    monkeypatch.setattr(build, "quantise", watched)
    run(project, "int8")
    with FrameFile(project / "data/frames/video0.h5") as frames:
        first, last = (torch.from_numpy(frames.image(k)).permute(2, 0, 1) for k in (0, 20))
    _, header = load_checkpoint(project / "models/backbone.safetensors")
    prepare = Transform(**header["transform"]).cropped(64).prepare
    images = torch.cat(seen)
    assert len(images) == 16
    assert torch.equal(images[0], prepare(first)) and torch.equal(images[15], prepare(last))


def test_a_new_split_computes_nothing_in_other_precisions(project):
    run(project, "fp32")
    (project / "data/index/splits.csv").write_text("video,split\nvideo0,test\nvideo1,train\n")
    assert "0 computed" in stage.run()


def test_int8_without_training_frames_says_what_else_is_allowed(project):
    (project / "data/index/splits.csv").write_text("video,split\nvideo0,test\nvideo1,test\n")
    with pytest.raises(
        PipelineError, match=r"int8 takes its scales from training videos.*fp32, bf16"
    ):
        run(project, "int8")


def test_int8_without_kernels_says_what_else_is_allowed(project, monkeypatch):
    monkeypatch.setattr(quantise, "_ENGINES", ("abacus",))
    with pytest.raises(PipelineError, match=r"no kernels.*needs one of abacus.*fp32, bf16"):
        run(project, "int8")


def test_int8_on_a_gpu_is_refused_by_name():
    with pytest.raises(PipelineError, match=r"runtime\.device: found cuda.*int8 runs on a CPU"):
        devices_for(RuntimeParams(device="cuda"), FeaturesParams(precision="int8"))


def test_a_precision_that_does_not_exist_is_named_with_those_that_do(project):
    settings(project, precision="fp8")
    with pytest.raises(PipelineError, match=r"features\.precision: found 'fp8'.*'int8'"):
        read_section(FeaturesParams, "features")


def test_a_processor_without_bf16_or_vnni_is_told_plainly(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    assert "no bf16 arithmetic" in advice(cpu, "bf16")
    assert "no integer dot product" in advice(cpu, "int8")
    assert advice(cpu, "fp32") is None
    able = {"avx512_bf16": True, "avx512_vnni": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert advice(cpu, "bf16") is None
    assert advice(cpu, "int8") is None


def test_a_few_training_videos_stand_for_all_and_stay_when_one_is_added(tmp_path):
    fingerprints = {tmp_path / f"v{i}.h5": f"{i * 37 % 40:02}" for i in range(40)}
    names = {path.stem for path in fingerprints}
    chosen = quantisation_videos(fingerprints, names)
    assert len(chosen) == VIDEOS
    assert quantisation_videos(fingerprints | {tmp_path / "late.h5": "99"}, names | {"late"}) == (
        chosen
    )


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (3, [0, 1, 2]), (100, [0, 33, 66, 99])])
def test_samples_are_evenly_spaced_from_first_to_last(count, expected):
    assert evenly_spaced(np.arange(count), 4).tolist() == expected


def test_cosine_counts_direction_and_survives_rows_of_zeros():
    one = np.array([[1, 0], [1, 1], [0, 0]], dtype=np.float32)
    other = np.array([[2, 0], [1, 0], [1, 0]], dtype=np.float32)
    np.testing.assert_allclose(cosine(one, other), [1, 0.5**0.5, 0])


def test_bf16_subtracts_the_mean_of_pixels_before_it_rounds():
    """Folded into a convolution, the mean of a bright image costs bits of its details."""
    torch.manual_seed(0)
    backbone = build_backbone("resnet18")
    first = nn.Sequential(backbone.network.conv1, backbone.network.bn1).eval()
    stem = replace(backbone, network=first)
    # Whatever the convolution makes of the brightness alone is taken off, as after training.
    first[0].weight.data -= first[0].weight.data.mean(dim=(1, 2, 3), keepdim=True)
    images = torch.randint(180, 220, (4, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        expected = precision.in_fp32(stem, stem.transform)(images)
        folded = stem.fold(first, stem.transform).to(torch.bfloat16)(images)
        found = precision.in_bf16(stem, stem.transform)(images)
    assert (found - expected).norm() < 0.9 * (folded - expected).norm()


def test_a_family_that_can_be_neither_folded_nor_quantised_works_and_says_what_it_cannot():
    """As a vision transformer."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 16, 16), nn.Flatten(2), Mean())
    blocks = [network[0], network[1]]
    transform = Transform(32, 32, "bilinear", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    vit = Backbone("vit", network, 8, transform, lambda: blocks, network[2], ("head.",))
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        expected = network(transform.normalise(images))
        torch.testing.assert_close(precision.in_fp32(vit, transform)(images), expected)
        half = precision.in_bf16(vit, transform)(images)
    torch.testing.assert_close(half.float(), expected, atol=0.03, rtol=0.03)
    with pytest.raises(PipelineError, match=r"found int8, but vit cannot.*Allowed for it: fp32"):
        precision.check_precision(vit, "int8")


class Mean(nn.Module):
    def forward(self, tokens):
        return tokens.mean(dim=2)


@pytest.mark.slow
def test_precisions_on_real_frames(shared_data, project, monkeypatch):
    """ResNet-50 at half its crop, frames of real operations, int8 scaled by another operation."""
    import av
    import cv2

    # Batches are filled up with empty images, which cost as much as frames.
    monkeypatch.setattr(build, "CPU_BATCH", 2)

    for name, clip in (("video0", "VID18_166"), ("video1", "VID43_147")):
        encoded = []
        # Few, because bf16 is slow on processors without it.
        count = 5 if name == "video0" else 2
        with av.open(str(shared_data / f"clips/{clip}.mp4")) as container:
            for frame in islice(container.decode(video=0), 0, 25 * count, 25):
                image = cv2.resize(frame.to_ndarray(format="bgr24"), (227, 128))
                encoded.append((cv2.imencode(".jpg", image)[1].tobytes(), float(len(encoded))))
        attributes = {"fps": 1.0, "height": 128, "width": 227, "fingerprint": clip}
        write_frames(project / f"data/frames/{name}.h5", encoded, attributes)
    text = (project / "params.yaml").read_text().replace("resnet18", "resnet50")
    (project / "params.yaml").write_text(text)
    backbone_stage.run()
    found = {}
    for name in ("fp32", "bf16", "int8"):
        settings(project, precision=name, dtype="float32")
        params = (project / "params.yaml").read_text().replace("crop: 64", "crop: 112")
        (project / "params.yaml").write_text(params)
        stage.run()
        found[name] = read_features(project / "features/videos/video1.h5").features
    full = found["fp32"]
    assert full.shape[1] == 2048
    assert np.linalg.norm(found["bf16"] - full) / np.linalg.norm(full) < 1e-2
    assert cosine(found["bf16"], full).min() > 0.9999
    assert cosine(found["int8"], full).min() > 0.99
