"""The decoder of a GPU, for which the CPU stands in: torchvision decodes there as well."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from features_project import settings

from pipeline.errors import PipelineError
from pipeline.features import nvjpeg, stage
from pipeline.features.encode import Encoder, encode_jpegs
from pipeline.features.rows import cosine
from pipeline.frame_store import FrameFile
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.fold import fold
from pipeline.networks.backbones.transform import Transform

TRANSFORM = Transform(72, 64, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def encoders(network):
    with_opencv = Encoder(network, TRANSFORM, torch.device("cpu"), 8)
    return with_opencv, replace(with_opencv, decoder="nvjpeg")


def features_of(frames, encoder, pool):
    return encode_jpegs((frames.jpeg(sample) for sample in range(len(frames))), encoder, pool)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as threads:
        yield threads


def test_it_gives_the_features_of_the_other_decoder(project, pool):
    torch.manual_seed(0)
    ours, theirs = encoders(fold(build_backbone("resnet18").network.eval(), TRANSFORM))
    with FrameFile(project / "data/frames/video0.h5") as frames:
        one, other = features_of(frames, ours, pool), features_of(frames, theirs, pool)
        assert cosine(one, other).min() > 0.999
        some = encode_jpegs([frames.jpeg(7), frames.jpeg(20)], theirs, pool)
        assert np.array_equal(some, other[[7, 20]])


def test_it_takes_every_frame_once_in_order_and_full_batches(project, pool):
    seen = []

    def mean(images):
        seen.append(images.shape)
        assert images.is_contiguous(memory_format=torch.channels_last)
        return images.float().mean(dim=(2, 3))

    ours, theirs = encoders(mean)
    with FrameFile(project / "data/frames/video0.h5") as frames:
        found, expected = features_of(frames, theirs, pool), features_of(frames, ours, pool)
    assert found.shape == (21, 3)
    assert set(seen) == {(8, 3, 64, 64)}
    np.testing.assert_allclose(found, expected, atol=0.5)  # of 255
    assert np.abs(np.diff(expected, axis=0)).max(axis=1).min() > 2, "neighbours can be told apart"


def test_a_damaged_frame_is_named(project, pool):
    path = project / "data/frames/video1.h5"
    with h5py.File(path, "r+") as file:
        file["jpeg"][4] = np.frombuffer(b"no picture at all", dtype=np.uint8)
    _, theirs = encoders(lambda images: images.float().mean(dim=(2, 3)))
    with (
        FrameFile(path) as frames,
        pytest.raises(PipelineError, match=r"a frame is not a readable JPEG"),
    ):
        features_of(frames, theirs, pool)


def test_a_decoder_that_fails_on_good_frames_is_blamed_itself(project, pool, monkeypatch):
    def broken(*_):
        raise RuntimeError("nvjpegDecode failed: 5\nsomewhere in C++")

    monkeypatch.setattr(nvjpeg, "decode_jpeg", broken)
    _, theirs = encoders(lambda images: images.float().mean(dim=(2, 3)))
    with (
        FrameFile(project / "data/frames/video1.h5") as frames,
        pytest.raises(PipelineError, match=r"failed \(nvjpegDecode failed: 5\).*decoder: opencv"),
    ):
        features_of(frames, theirs, pool)


def test_without_a_gpu_the_stage_names_the_key(project):
    settings(project, decoder="nvjpeg")
    with pytest.raises(PipelineError, match=r"features\.decoder: found nvjpeg.*Allowed there: op"):
        stage.run()
