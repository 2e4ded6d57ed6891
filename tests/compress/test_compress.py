"""Pruning and distilling on a small project, and what the stages make of the results."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from features_project import add_video, make_project

from pipeline.backbone import stage as backbone_stage
from pipeline.checkpoint import load_checkpoint, read_header
from pipeline.compress import command
from pipeline.compress.command import distil, prune, seen_by_student
from pipeline.compress.examples import read_compared, read_examples, read_teacher
from pipeline.compress.logits import TEMPERATURE, logits_loss
from pipeline.compress.matching import feature_loss, shuffled
from pipeline.compress.table import HEADS, REPORT, table
from pipeline.errors import PipelineError
from pipeline.feature_store import read_features
from pipeline.features import stage as features_stage
from pipeline.networks.backbones.transform import Transform
from pipeline.tables import write_table

PRUNED, STUDENT = Path("models/pruned.safetensors"), Path("models/student.safetensors")


def make_compress_project(folder):
    """video0 for training, video1 for testing, video2 for validation; features of resnet18."""
    make_project(folder)
    add_video(folder, "video2", 12, 2)
    index = folder / "data/index"
    (index / "splits.csv").write_text("video,split\nvideo0,train\nvideo1,test\nvideo2,val\n")
    runs = [(f"video{i}", s, s + 5, "AB"[s // 5 % 2]) for i in range(3) for s in (0, 5, 10, 15)]
    columns = ["video", "start_s", "end_s", "phase"]
    write_table(pd.DataFrame(runs, columns=columns), index / "labels.csv")
    write_table(pd.DataFrame({"phase": ["A", "B"]}), index / "phases.csv")
    features_stage.run()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with features, made once: the tests that change it come last."""
    folder = tmp_path_factory.mktemp("compress")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_ROOT", str(folder))
        make_compress_project(folder)
    return folder


@pytest.fixture
def project(made, monkeypatch):
    monkeypatch.chdir(made)
    monkeypatch.setenv("DVC_ROOT", str(made))
    return made


@pytest.fixture(scope="module")
def recovery(made):
    """What pruning with two epochs of recovery says and writes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        patch.setenv("DVC_ROOT", str(made))
        return prune(0.3, 2, PRUNED), read_header(PRUNED)


@pytest.fixture
def recovered(recovery, project):
    return recovery


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def use(folder, name, weights):
    """Params.yaml with this backbone."""
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(
        text.replace("name: resnet18, weights: random", f"name: {name}, weights: {weights}")
    )


def test_recovery_brings_the_features_back(recovered):
    line, header = recovered
    found = header["compress"]
    assert found["losses"][-1] < found["losses"][0]
    assert found["cosine"]["after"] > found["cosine"]["before"]
    assert "pruned/resnet18-30, pruned from resnet18" in line
    assert not list(Path(".store/compress").iterdir())  # nothing is left to resume


def test_a_killed_run_goes_on_and_equal_seeds_give_equal_bytes(recovered, monkeypatch):
    expected = digest(PRUNED)

    class KilledError(Exception):
        pass

    def killed(epoch, loss):
        raise KilledError

    original = command.learn

    def learn(*given):
        return original(*given[:-1], killed)

    with monkeypatch.context() as patch:
        patch.setattr(command, "learn", learn)
        with pytest.raises(KilledError):
            prune(0.3, 2, PRUNED)
    (state,) = Path(".store/compress").glob("*.state")
    assert len(read_header(state)["losses"]) == 1
    again = Path("models/again.safetensors")
    prune(0.3, 2, again)
    assert digest(again) == expected


def test_a_student_learns_from_training_videos_alone(project, monkeypatch):
    read = []
    original = command.learn

    def learn(learner, examples, *others):
        read.extend(path.stem for path in examples.frames.containers)
        return original(learner, examples, *others)

    monkeypatch.setattr(command, "learn", learn)
    line = distil("mobilenet_v3_small", 2, STUDENT)
    header = read_header(STUDENT)
    assert read == ["video0"]
    assert header["compress"]["losses"][-1] < header["compress"]["losses"][0]
    assert (header["name"], header["dim"]) == ("mobilenet_v3_small", 576)
    assert "distilled from resnet18" in line
    assert not any(name.startswith("to_") for name in load_checkpoint(STUDENT)[0])


def test_the_stages_accept_a_pruned_network(project):
    unrecovered = Path("models/unrecovered.safetensors")
    prune(0.3, 0, unrecovered)
    tensors, header = load_checkpoint(unrecovered)
    before = (project / "params.yaml").read_text()
    try:
        use(project, "pruned/resnet18-30", unrecovered)
        backbone_stage.run(Path("models/other.safetensors"), Path("reports/other"))
        pinned, pinned_header = load_checkpoint(Path("models/other.safetensors"))
        assert all(torch.equal(pinned[name], tensor) for name, tensor in tensors.items())
        assert pinned_header["transform"] == header["transform"]
        features_stage.run(backbone=Path("models/other.safetensors"), output=Path("other_features"))
        found = read_features(Path("other_features/video0.h5"))
        assert found.features.shape == (21, 512)
        assert found.attributes["backbone"] == "pruned/resnet18-30"
    finally:
        (project / "params.yaml").write_text(before)


def test_the_table_puts_them_side_by_side(project):
    half = Path("models/half.safetensors")
    prune(0.5, 0, half)
    text = table([half])
    first, whole, smaller = text.splitlines()[:3]
    assert first.split("  ")[0] == HEADS[0] and "cosine" in first
    assert whole.startswith("resnet18") and smaller.startswith("pruned/resnet18-50")
    rows = json.loads(REPORT.read_text())["backbones"]
    assert rows[1]["flops_per_image"] < 0.6 * rows[0]["flops_per_image"]
    assert rows[1]["megabytes"] < 0.6 * rows[0]["megabytes"]
    assert rows[0]["cosine"] is None and -1 <= rows[1]["cosine"] <= 1
    assert rows[1]["probed"]["videos"] == 1
    assert {row["dim"] for row in rows} == {512}


def test_targets_are_the_rows_of_the_frames(project):
    teacher = read_teacher()
    examples = read_examples(teacher)
    stored = read_features(Path("features/videos/video0.h5")).features
    assert np.array_equal(examples.targets(np.array([3, 1])).numpy(), stored[[3, 1]])
    mean, std = examples.mean_and_std()
    np.testing.assert_allclose(mean, stored.astype(float).mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(std, stored.astype(float).std(axis=0), rtol=1e-4, atol=1e-5)
    assert [path.stem for path in read_compared(teacher).frames.containers] == ["video2"]


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: prune(0.95, 1, PRUNED), r"--ratio: found 0.95. Allowed: 0.05 to 0.9"),
        (lambda: prune(float("nan"), 1, PRUNED), r"--ratio: found nan"),
        (lambda: prune(0.305, 1, PRUNED), "in steps of 0.01"),
        (lambda: prune(0.3, -1, PRUNED), "--epochs: found -1. Allowed: 0 or more"),
        (lambda: prune(0.3, 1, Path("m.pth")), r"--out: found m.pth.*safetensors"),
        (lambda: distil("resnet18", 0, STUDENT), "--epochs: found 0. Allowed: 1 or more"),
        (lambda: distil("resnet81", 1, STUDENT), "--student: found 'resnet81'. Did you mean"),
        (lambda: distil("r3d_18", 1, STUDENT), "Allowed: one network that reads single images"),
        (lambda: distil("resnet18+resnet34", 1, STUDENT), "Allowed: one network"),
        (lambda: distil("pixels", 1, STUDENT), "no weights to train"),
        (lambda: distil("resnet34=NOTHING", 1, STUDENT), "found 'NOTHING'"),
    ],
)
def test_impossible_requests_say_what_is_allowed(project, call, problem):
    with pytest.raises(PipelineError, match=problem):
        call()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("efficientnet_b0", "efficientnet_b0, which cannot be pruned. Allowed for compress prune"),
        ("pruned/resnet18-30", "cannot be pruned"),
        ("resnet18+resnet34", "is several networks in one"),
        ("r3d_18@16", "reads clips"),
    ],
)
def test_backbones_that_cannot_be_compressed_are_refused(project, monkeypatch, name, problem):
    tensors, header = load_checkpoint(Path("models/backbone.safetensors"))
    found = tensors, header | {"name": name}
    monkeypatch.setattr("pipeline.compress.examples.load_checkpoint", lambda path: found)
    with pytest.raises(PipelineError, match=problem):
        prune(0.3, 1, PRUNED)


def test_features_of_another_backbone_or_crop_are_refused(project):
    before = (project / "params.yaml").read_text()
    try:
        (project / "params.yaml").write_text(before.replace("crop: 64", "crop: 32"))
        with pytest.raises(PipelineError, match=r"video0.h5: these are not the features of"):
            distil("resnet18", 1, STUDENT)
    finally:
        (project / "params.yaml").write_text(before)


def test_a_project_without_training_videos_says_so(project):
    splits = project / "data/index/splits.csv"
    before = splits.read_text()
    try:
        splits.write_text(before.replace("train", "test"))
        with pytest.raises(PipelineError, match="found 0 frames of training videos"):
            prune(0.3, 1, PRUNED)
    finally:
        splits.write_text(before)


def test_a_student_sees_the_part_of_the_frame_that_the_teacher_saw():
    teacher = Transform(480, 456, "bicubic", (0.5,) * 3, (0.5,) * 3)
    own = Transform(256, 224, "bilinear", (0.4,) * 3, (0.2,) * 3)
    seen = seen_by_student(teacher, own)
    assert (seen.resize_px, seen.crop_px, seen.mean) == (236, 224, own.mean)
    assert seen.crop_px / seen.resize_px == pytest.approx(456 / 480, abs=1e-3)
    assert seen_by_student(own, teacher).crop_px == 224


def test_losses_are_those_of_the_papers():
    generator = torch.Generator().manual_seed(0)
    found, wanted = torch.randn(2, 7, 5, generator=generator).numpy()
    cosines = (found * wanted).sum(1) / np.linalg.norm(found, axis=1)
    cosines /= np.linalg.norm(wanted, axis=1)
    expected = ((found - wanted) ** 2).mean() + 1 - cosines.mean()
    assert float(feature_loss(torch.tensor(found), torch.tensor(wanted))) == pytest.approx(
        expected, rel=1e-5
    )

    def softened(x):
        powers = np.exp(x.astype(float) / TEMPERATURE)
        return powers / powers.sum(axis=1, keepdims=True)

    p, q = softened(wanted), softened(found)
    expected = TEMPERATURE**2 * (p * np.log(p / q)).sum(axis=1).mean()
    assert float(logits_loss(torch.tensor(found), torch.tensor(wanted))) == pytest.approx(
        expected, rel=1e-4
    )


@pytest.mark.parametrize("count", [2, 33, 64, 65, 97])
def test_every_row_is_met_once_and_no_batch_is_a_single_image(count):
    batches = shuffled(count, seed=5)
    assert sorted(np.concatenate(batches).tolist()) == list(range(count))
    assert all(2 <= len(batch) <= 32 for batch in batches)
