"""What the network is shown: loading, augmentation, rates, loss, adaptation."""

import os
import resource
import sys
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent))
from frames_project import FRAMES, make_project

from pipeline.backbone import finetune, stage
from pipeline.backbone.adabn import adapt, mixed_batches, spread
from pipeline.backbone.augment import augment
from pipeline.backbone.labelled_frames import LabelledFrames, read_frames
from pipeline.backbone.loader import load
from pipeline.backbone.params_finetune import AugmentParams, FinetuneParams
from pipeline.backbone.strategy import learning_rate
from pipeline.backbone.weights import random_weights
from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.frame_store import write_frames
from pipeline.networks.backbones.cnn import build_cnn
from pipeline.networks.backbones.transform import Transform
from pipeline.progress import Progress
from pipeline.training.frame_loss import batch_loss

MEAN = (0.485, 0.456, 0.406)
TRANSFORM = Transform(256, 224, "bilinear", MEAN, (0.229, 0.224, 0.225)).cropped(32)
OFF = {
    "smallest_crop": 1.0,
    "flip": 0.0,
    "rotation_deg": 0.0,
    "brightness": 0.0,
    "contrast": 0.0,
    "saturation": 0.0,
    "hue": 0.0,
    "erasing": 0.0,
}


def varied(seed=4, **values):
    image = np.random.default_rng(0).integers(0, 255, (5, 9, 3), dtype=np.uint8)
    image = np.repeat(np.repeat(image, 12, axis=0), 12, axis=1)
    return augment(image, seed, AugmentParams(**(OFF | values)), 48, MEAN)


def test_frames_come_in_the_order_of_the_rows(project):
    frames = read_frames(("train", "val"))
    rows = np.random.default_rng(1).permutation(len(frames))
    seen = []

    def number(image, row):
        seen.append(row)
        return torch.tensor([row])

    batches = list(load(frames, np.array_split(rows, 7), number, 4))
    assert torch.cat(batches).flatten().tolist() == rows.tolist()
    assert sorted(seen) == sorted(rows.tolist())
    assert frames.name(FRAMES + 2) == "b_000002"


def test_a_loader_that_is_left_early_ends_its_threads(project):
    frames = read_frames(("train",))
    images = load(frames, [np.array([i]) for i in range(20)], lambda x, row: torch.zeros(1), 2)
    before = threading.active_count()
    next(images)
    assert threading.active_count() > before
    images.close()
    assert threading.active_count() == before


def test_more_videos_than_files_may_be_open_are_read(workplace):
    count, room = 220, 150
    for number in range(count):
        write_frames(Path(f"{number}.h5"), [(b"jpeg", 0.0)], {"video": str(number)})
    nothing = np.zeros(count, dtype=np.int64)
    frames = LabelledFrames(
        tuple(Path(f"{n}.h5") for n in range(count)),
        ("",) * count,
        np.arange(count),
        nothing,
        nothing,
        np.zeros((count, 0), dtype=np.float32),
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + room, hard))
    try:
        files = load(frames, [np.arange(count)], lambda image, row: torch.tensor([row]), 2)
        with pytest.raises(PipelineError, match="not a readable JPEG"):
            next(files)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_damaged_frame_is_named_with_its_container(project):
    with h5py.File("data/frames/b.h5", "r+") as file:
        file["jpeg"][4] = np.frombuffer(b"no picture at all", dtype=np.uint8)
    with pytest.raises(PipelineError, match=r"data/frames/b\.h5: a frame is not a readable JPEG"):
        stage.run()


def test_augmentation_depends_on_its_seed_alone():
    full = AugmentParams().model_dump()
    assert np.array_equal(varied(7, **full), varied(7, **full))
    assert not np.array_equal(varied(7, **full), varied(8, **full))
    assert varied(7, **full).shape == (48, 48, 3)


def test_each_setting_does_what_it_says_and_nothing_else():
    plain = varied().astype(int)
    assert np.array_equal(varied(flip=1.0), plain[:, ::-1])
    assert np.array_equal(varied(flip=0.0), plain)
    erased = varied(erasing=1.0)
    changed = (erased != plain).any(axis=2)
    assert 0.01 < changed.mean() < 0.4
    assert (erased[changed] == [124, 116, 104]).all()
    brighter = varied(brightness=0.3)
    ratio = brighter.mean() / plain.mean()
    assert 0.7 <= ratio <= 1.3 and abs(ratio - 1) > 0.01
    assert np.abs(varied(saturation=0.9).std(axis=2).mean() - plain.std(axis=2).mean()) > 1
    assert not np.array_equal(varied(rotation_deg=10.0), plain)
    crops = [
        not np.array_equal(varied(seed, smallest_crop=0.2), varied(seed)) for seed in range(20)
    ]
    assert sum(crops) > 3  # a large one is cut down to the same part of a wide frame


def test_a_turn_of_the_colours_keeps_grey():
    grey = np.full((20, 20, 3), 120, dtype=np.uint8)
    turned = augment(grey, 1, AugmentParams(**(OFF | {"hue": 0.5})), 16, MEAN)
    assert np.abs(turned.astype(int) - 120).max() <= 2


def test_the_plateau_rate_follows_torchs():
    losses = [1.0, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99, 0.8, 0.81, 0.82, 0.83, 0.84, 0.7]
    params = FinetuneParams(scheduler="plateau", lr=0.1, plateau_patience=2, epochs=30)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=0
    )
    for epoch, loss in enumerate(losses, start=1):
        rate = optimizer.param_groups[0]["lr"]
        assert learning_rate(params, epoch, losses[: epoch - 1]) == pytest.approx(rate)
        schedule.step(loss)
    assert rate < 0.1


def test_the_loss_is_torchs_and_the_sum_of_its_parts():
    torch.manual_seed(0)
    logits, tools = torch.randn(8, 3), torch.randn(8, 2)
    phase, present = torch.randint(0, 3, (8,)), torch.randint(0, 2, (8, 2)).float()
    present[:2] = torch.nan
    weights = torch.tensor([1.0, 2.0, 0.5])
    whole = (weights[phase].sum().item(), 12.0)
    params = FinetuneParams(tools=0.7)
    loss = batch_loss((logits, tools), phase, present, weights, whole, params)
    expected = functional.cross_entropy(logits, phase, weights, label_smoothing=0.1)
    expected += 0.7 * functional.binary_cross_entropy_with_logits(tools[2:], present[2:])
    torch.testing.assert_close(loss, expected)
    parts = [
        batch_loss((logits[i], tools[i]), phase[i], present[i], weights, whole, params)
        for i in (slice(0, 3), slice(3, 8))
    ]
    torch.testing.assert_close(sum(parts), loss)


def test_the_focal_loss_without_focus_is_the_cross_entropy():
    torch.manual_seed(0)
    logits, phase = torch.randn(8, 3), torch.randint(0, 3, (8,))
    weights = torch.tensor([1.0, 2.0, 0.5])
    none, whole = torch.zeros(8, 0), (weights[phase].sum().item(), 1.0)

    def focal(gamma):
        params = FinetuneParams(loss="focal", focal_gamma=gamma)
        return batch_loss((logits, none), phase, none, weights, whole, params)

    torch.testing.assert_close(focal(0.0), functional.cross_entropy(logits, phase, weights))
    assert focal(2.0) < focal(0.0)


def darker(frames: LabelledFrames) -> LabelledFrames:
    """Frames whose pixels, once normalised, are half of those of `frames`."""
    import cv2

    from pipeline.frame_store import FrameFile

    paths = []
    for path in frames.containers:
        with FrameFile(path) as file:
            grey = 255 * np.array(MEAN)
            images = [(grey + (file.image(k) - grey) / 2).round() for k in range(len(file))]
        encoded = [cv2.imencode(".png", i.astype(np.uint8)[..., ::-1])[1].tobytes() for i in images]
        target = Path("shifted") / path.name
        write_frames(target, [(e, float(k)) for k, e in enumerate(encoded)], {"video": path.stem})
        paths.append(target)
    return LabelledFrames(
        tuple(paths), frames.fingerprints, frames.video, frames.sample, frames.phase, frames.tools
    )


def adapted(frames, network):
    with Progress("adabn", 1, "none") as progress:
        adapt(network, frames, TRANSFORM, 12, torch.device("cpu"), 2, progress)
    return network


def features(network, frames):
    images = load(
        frames,
        [np.arange(len(frames))],
        lambda image, row: TRANSFORM.prepare(torch.from_numpy(image).permute(2, 0, 1)),
        2,
    )
    with torch.inference_mode():
        return network.eval()(TRANSFORM.normalise(next(images)))


def network():
    built = build_cnn("resnet18")
    built.load_state_dict(random_weights("resnet18", 1))
    return built


def test_adabn_brings_the_features_of_a_shifted_copy_back(project):
    frames = read_frames(("train",), labels=False)
    shifted = darker(frames)
    one = adapted(frames, network())
    wanted, off = features(one, frames), features(one, shifted)
    back = features(adapted(shifted, network()), shifted)
    size = wanted.norm()
    # Not to zero: half the contrast in whole numbers is a coarser image.
    assert (off - wanted).norm() > 0.9 * size
    assert (back - wanted).norm() < 0.25 * size


def test_adabn_does_not_depend_on_the_order_of_videos_and_keeps_the_weights(project):
    frames = read_frames(("train", "val"), labels=False)
    rows = np.random.default_rng(2).permutation(len(frames))
    one, two = adapted(frames, network()), adapted(frames.take(rows), network())
    for (name, a), b in zip(one.state_dict().items(), two.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    untouched = network().state_dict()
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, untouched[name]) == ("running" not in name), name


def test_adabn_statistics_are_those_of_all_frames_pooled(project):
    """Of the first batch norm, which sees the same input in every batch size."""
    frames = read_frames(("train",), labels=False)
    built = network()
    images = load(
        frames,
        [np.arange(len(frames))],
        lambda image, row: TRANSFORM.prepare(torch.from_numpy(image).permute(2, 0, 1)),
        2,
    )
    with torch.inference_mode():
        x = built.conv1(TRANSFORM.normalise(next(images)))
    adapted(frames, built)
    torch.testing.assert_close(built.bn1.running_mean, x.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    expected = x.var((0, 2, 3), correction=0)
    torch.testing.assert_close(built.bn1.running_var, expected, rtol=1e-4, atol=1e-5)


def test_batches_of_adabn_span_all_videos(project):
    frames = read_frames(("train", "val"), labels=False)
    for rows in mixed_batches(frames, 9):
        assert set(frames.video[rows]) == {0, 1, 2}
    few = spread(frames, 4)
    assert len(few) == 12 and set(few.sample) >= {0, FRAMES - 1}


def test_the_stage_says_which_videos_it_adapted_to_and_reads_no_label(project):
    for path in Path("data/index").glob("labels.csv"):
        path.unlink()
    make = {"mode": "adabn", "adabn": {"split": "test", "batch": 6}}
    from frames_project import settings

    settings(**make)
    assert "batch norm of 18 frames of test" in stage.run()
    _, header = load_checkpoint(Path("models/backbone.safetensors"))
    assert header["adabn"] == {"split": "test", "videos": ["d"], "frames": FRAMES}
    table = Path("data/index/splits.csv")
    table.write_text(table.read_text().replace("d,test\n", ""))
    for frames_per_video in (None, 5):
        settings(**make | {"adabn": {"split": "test", "frames_per_video": frames_per_video}})
        with pytest.raises(PipelineError, match=r"adabn\.split: found test, which has 0"):
            stage.run()


def test_a_failure_after_finetuning_costs_no_epoch(project, monkeypatch):
    make_project(mode="finetune_adabn", adabn={"split": "val"})

    def full(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(stage, "save_checkpoint", full)
        with pytest.raises(OSError, match="no space"):
            stage.run()
    monkeypatch.setattr(finetune, "batch_loss", lambda *_: pytest.fail("trained again"))
    assert "fine-tuned on 36 frames" in stage.run()
    assert not list(Path(".store/backbone").iterdir())


def test_adabn_after_finetuning(project):
    make_project(mode="finetune_adabn", adabn={"split": "val"})
    assert "fine-tuned on 36 frames" in stage.run()
    _, header = load_checkpoint(Path("models/backbone.safetensors"))
    assert header["adabn"]["videos"] == ["c"] and header["finetune"]["training_frames"] == 36
