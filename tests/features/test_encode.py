import hashlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline.backbone import stage as backbone_stage
from pipeline.errors import PipelineError
from pipeline.feature_store import read_features
from pipeline.features import stage, video
from pipeline.features.encode import Encoder, encode
from pipeline.frame_store import FrameFile, write_frames
from pipeline.networks.cnn import Transform, build_cnn
from pipeline.networks.fold import fold

TRANSFORM = Transform(72, 64, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PARAMS = """\
seed: 1
backbone: {{name: resnet18, weights: random, mode: frozen}}
features: {{precision: {precision}, dtype: {dtype}, crop: 64}}
runtime:
  {{device: cpu, workers: {workers}, batch: {batch}, threads: 1, compile: false, progress: lines}}
"""


def jpegs(count, seed):
    generator = np.random.default_rng(seed)
    for sample in range(count):
        coarse = generator.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (96, 72), interpolation=cv2.INTER_CUBIC)
        yield cv2.imencode(".jpg", image)[1].tobytes(), float(sample)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Two videos of frames and a pinned random backbone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    settings(tmp_path)
    for number, count in enumerate((21, 10)):
        name = f"video{number}"
        attributes = {"video": name, "fps": 1.0, "fingerprint": f"frames-of-{name}"}
        write_frames(tmp_path / f"data/frames/{name}.h5", jpegs(count, number), attributes)
    splits = tmp_path / "data/index/splits.csv"
    splits.parent.mkdir()
    splits.write_text("video,split\nvideo0,train\nvideo1,test\n")
    (tmp_path / "data/frames/skipped.csv").write_text("video,reason\nvideo9,zero bytes\n")
    backbone_stage.run()
    return tmp_path


def settings(folder, precision="fp32", dtype="float16", workers=1, batch=8):
    text = PARAMS.format(precision=precision, dtype=dtype, workers=workers, batch=batch)
    (folder / "params.yaml").write_text(text)


def hashes(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def recompute(project):
    for path in (project / ".store/features").glob("*.h5"):
        path.unlink()
    stage.run()
    return hashes(project / "features")


def test_each_row_is_the_network_on_that_frame_alone(project):
    stage.run()
    network = build_cnn("resnet18")
    tensors, _ = backbone_stage_checkpoint(project)
    network.load_state_dict(tensors)
    network.eval()
    with FrameFile(project / "data/frames/video0.h5") as frames:
        image = torch.from_numpy(frames.image(13)).permute(2, 0, 1)
    header = Transform(round(256 * 64 / 224), 64, "bilinear", TRANSFORM.mean, TRANSFORM.std)
    with torch.inference_mode():
        expected = network(header.normalise(header.prepare(image)[None]))[0]
    found = read_features(project / "features/video0.h5")
    np.testing.assert_allclose(found.features[13], expected.numpy(), rtol=3e-3, atol=1e-3)
    assert found.time_s[13] == 13


def backbone_stage_checkpoint(project):
    from pipeline.checkpoint import load_checkpoint

    return load_checkpoint(project / "models/backbone.safetensors")


def test_bytes_do_not_depend_on_batch_workers_or_threads(project):
    stage.run()
    first = hashes(project / "features")
    for workers, batch in ((3, 8), (2, 5), (1, 1), (2, 32)):
        settings(project, workers=workers, batch=batch)
        assert recompute(project) == first, f"workers {workers}, batch {batch}"


def test_bf16_stays_within_one_percent_of_fp32(project):
    settings(project, dtype="float32")
    stage.run()
    full = read_features(project / "features/video0.h5").features
    settings(project, precision="bf16", dtype="float32")
    stage.run()
    half = read_features(project / "features/video0.h5").features
    assert not np.array_equal(full, half)
    assert np.linalg.norm(full - half) / np.linalg.norm(full) < 1e-2


def test_only_missing_videos_are_computed(project):
    assert "2 videos, 2 computed" in stage.run()
    assert "2 videos, 0 computed" in stage.run()
    attributes = {"video": "video2", "fps": 1.0, "fingerprint": "frames-of-video2"}
    write_frames(project / "data/frames/video2.h5", jpegs(3, 5), attributes)
    assert "3 videos, 1 computed" in stage.run()


def test_skipped_videos_are_handed_on(project):
    stage.run()
    assert (project / "features/skipped.csv").read_text() == "video,reason\nvideo9,zero bytes\n"


def test_features_too_large_for_the_file_stop_the_stage(project, monkeypatch):
    monkeypatch.setattr(video, "encode", lambda *_: np.full((21, 512), 1e6, dtype=np.float32))
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
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("device: cpu", "device: cuda"))
    with pytest.raises(PipelineError, match=r"runtime\.device: found cuda"):
        stage.run()


def test_a_batch_is_filled_up_without_changing_its_rows(project):
    torch.manual_seed(0)
    network = fold(build_cnn("resnet18").eval(), TRANSFORM.mean, TRANSFORM.std)
    encoder = Encoder(network, TRANSFORM, torch.device("cpu"), 8)
    with FrameFile(project / "data/frames/video0.h5") as frames, ThreadPoolExecutor(2) as pool:
        whole = encode(frames, encoder, pool)
        assert np.array_equal(encode(frames, encoder, pool, np.array([7, 20])), whole[[7, 20]])


def test_an_encoder_takes_every_frame_once_and_in_order(project):
    with FrameFile(project / "data/frames/video0.h5") as frames, ThreadPoolExecutor(2) as pool:

        def mean(images):
            return images.float().mean(dim=(2, 3))

        found = encode(frames, Encoder(mean, TRANSFORM, torch.device("cpu"), 8), pool)
        assert found.shape == (21, 3)
        one_by_one = Encoder(mean, TRANSFORM, torch.device("cpu"), 1)
        expected = encode(frames, one_by_one, pool)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_killed_run_is_finished_with_the_bytes_of_an_undisturbed_one(project):
    for number in range(4):
        attributes = {"video": f"w{number}", "fps": 1.0, "fingerprint": f"frames-of-w{number}"}
        path = project / f"data/frames/w{number}.h5"
        write_frames(path, jpegs(60, 10 + number), attributes)
    # `python -m pipeline features` without the check of sections that this project leaves out.
    command = [sys.executable, "-c", "from pipeline.features.stage import run; run()"]
    environment = os.environ | {"PYTHONPATH": str(Path(stage.__file__).parents[2])}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "2/6" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    time.sleep(0.1)
    finished = len(list((project / ".store/features").glob("*.h5")))
    assert 2 <= finished < 6
    assert f"{6 - finished} computed" in stage.run()
    resumed = hashes(project / "features")
    assert recompute(project) == resumed
