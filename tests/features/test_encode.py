import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from features_project import add_video, forget, hashes, settings
from warm_processes import warm_context

from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.feature_store import read_features
from pipeline.features import build, stage, video
from pipeline.features.encode import Encoder, encode, encode_jpegs
from pipeline.frame_store import FrameFile
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.fold import fold
from pipeline.networks.backbones.transform import Transform
from pipeline.progress import Progress

TRANSFORM = Transform(72, 64, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def features_of(frames, encoder, pool):
    return encode_jpegs((frames.jpeg(sample) for sample in range(len(frames))), encoder, pool)


def recompute(project):
    forget(project)
    stage.run()
    return hashes(project / "features/videos")


def test_each_row_is_the_network_on_that_frame_alone(project):
    stage.run()
    network = build_backbone("resnet18").network
    tensors, _ = load_checkpoint(project / "models/backbone.safetensors")
    network.load_state_dict(tensors)
    network.eval()
    with FrameFile(project / "data/frames/video0.h5") as frames:
        image = torch.from_numpy(frames.image(13)).permute(2, 0, 1)
    header = Transform(round(256 * 64 / 224), 64, "bilinear", TRANSFORM.mean, TRANSFORM.std)
    with torch.inference_mode():
        expected = network(header.normalise(header.prepare(image)[None]))[0]
    found = read_features(project / "features/videos/video0.h5")
    np.testing.assert_allclose(found.features[13], expected.numpy(), rtol=3e-3, atol=1e-3)
    assert found.time_s[13] == 13


def test_bytes_do_not_depend_on_batch_or_workers(project):
    stage.run()
    first = hashes(project / "features/videos")
    for workers, batch in ((3, 8), (2, 5), (1, 1), (2, 32)):
        settings(project, workers=workers, batch=batch)
        assert recompute(project) == first, f"workers {workers}, batch {batch}"


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_features_of_other_batches_differ_by_rounding(project, dtype, most):
    """As on a GPU, whose batch is runtime.batch."""
    torch.manual_seed(0)
    network = fold(build_backbone("resnet18").network.eval(), TRANSFORM).to(dtype)
    found = []
    with FrameFile(project / "data/frames/video0.h5") as frames, ThreadPoolExecutor(2) as pool:
        for batch in (16, 1, 5, 21):
            found.append(
                features_of(frames, Encoder(network, TRANSFORM, torch.device("cpu"), batch), pool)
            )
    for other in found[1:]:
        assert np.linalg.norm(other - found[0]) / np.linalg.norm(found[0]) < most


def test_memory_too_small_for_any_batch_names_the_device(project, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(build, "to_channels_last", full)
    with pytest.raises(PipelineError, match=r"cpu: too little.*runtime\.batch: 1"):
        stage.run()


def test_bf16_stays_within_one_percent_of_fp32(project):
    settings(project, dtype="float32")
    stage.run()
    full = read_features(project / "features/videos/video0.h5").features
    settings(project, precision="bf16", dtype="float32")
    stage.run()
    half = read_features(project / "features/videos/video0.h5").features
    assert not np.array_equal(full, half)
    assert np.linalg.norm(full - half) / np.linalg.norm(full) < 1e-2


def test_only_missing_videos_are_computed(project):
    assert "2 videos, 2 computed" in stage.run()
    assert "2 videos, 0 computed" in stage.run()
    add_video(project, "video2", 3, 5)
    assert "3 videos, 1 computed" in stage.run()


def test_skipped_videos_are_handed_on(project):
    stage.run()
    assert (
        project / "features/videos/skipped.csv"
    ).read_text() == "video,reason\nvideo9,zero bytes\n"


def test_features_too_large_for_the_file_stop_the_stage(project, monkeypatch):
    monkeypatch.setattr(video, "encode_jpegs", lambda *_: np.full((21, 512), 1e6, dtype=np.float32))
    with pytest.raises(PipelineError, match=r"up to 1e\+06 do not fit features\.dtype: float16"):
        stage.run()


def test_without_frames_or_weights_the_stage_says_what_to_run(project):
    (project / "models/backbone.safetensors").unlink()
    with pytest.raises(PipelineError, match=r"backbone\.safetensors: not found"):
        stage.run()
    with pytest.raises(PipelineError, match="holds no frames"):
        stage.run(frames=Path("empty"))


def test_a_gpu_that_is_not_there_is_named(project):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    settings(project, device="cuda")
    with pytest.raises(PipelineError, match=r"runtime\.device: found cuda"):
        stage.run()


def test_a_batch_is_filled_up_without_changing_its_rows(project):
    torch.manual_seed(0)
    network = fold(build_backbone("resnet18").network.eval(), TRANSFORM)
    encoder = Encoder(network, TRANSFORM, torch.device("cpu"), 8)
    with FrameFile(project / "data/frames/video0.h5") as frames, ThreadPoolExecutor(2) as pool:
        whole = features_of(frames, encoder, pool)
        some = encode_jpegs([frames.jpeg(7), frames.jpeg(20)], encoder, pool)
        assert np.array_equal(some, whole[[7, 20]])


def test_frames_that_never_touch_the_disk_have_the_features_of_those_that_did(project):
    """A live camera, or `predict`: pixels in, features out, without a container."""
    torch.manual_seed(0)
    network = fold(build_backbone("resnet18").network.eval(), TRANSFORM)
    encoder = Encoder(network, TRANSFORM, torch.device("cpu"), 8)
    with FrameFile(project / "data/frames/video0.h5") as frames, ThreadPoolExecutor(2) as pool:
        pixels = (frames.image(sample) for sample in range(len(frames)))
        assert np.array_equal(encode(pixels, encoder, pool), features_of(frames, encoder, pool))


def test_a_damaged_frame_is_named_with_its_container(project):
    with h5py.File(project / "data/frames/video1.h5", "r+") as file:
        file["jpeg"][4] = np.frombuffer(b"no picture at all", dtype=np.uint8)
    with pytest.raises(PipelineError, match=r"video1\.h5: a frame is not a readable JPEG"):
        stage.run()
    assert len(list((project / ".store/features").glob("*.h5"))) == 1, "video0 is kept"


def test_an_encoder_takes_every_frame_once_and_in_order(project):
    with FrameFile(project / "data/frames/video0.h5") as frames, ThreadPoolExecutor(2) as pool:

        def mean(images):
            return images.float().mean(dim=(2, 3))

        found = features_of(frames, Encoder(mean, TRANSFORM, torch.device("cpu"), 8), pool)
        assert found.shape == (21, 3)
        one_by_one = Encoder(mean, TRANSFORM, torch.device("cpu"), 1)
        expected = features_of(frames, one_by_one, pool)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def killed_in_the_third_video():
    """A process of its own: killed soon after two videos are done, wherever it then is."""
    step, done = Progress.step, []

    def counted(self, name, note=""):
        step(self, name, note)
        done.append(name)
        if len(done) == 2:
            threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGKILL)).start()

    Progress.step = counted
    os.environ["DVC_ROOT"] = str(Path.cwd())
    stage.run()


def test_a_killed_run_is_finished_with_the_bytes_of_an_undisturbed_one(project):
    add_video(project, "w0", 60, 10)  # after the two others, and long enough to be killed in
    process = warm_context().Process(target=killed_in_the_third_video)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(list((project / ".store/features").glob("*.h5"))) == 2
    assert "3 videos, 1 computed" in stage.run()
    resumed = hashes(project / "features/videos")
    assert recompute(project) == resumed
