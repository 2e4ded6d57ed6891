"""Batch-norm statistics of other videos, without their labels."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from frames_project import FRAMES, make_project, settings

from pipeline.backbone import stage
from pipeline.backbone.adabn import adapt, evenly_spaced, mixed_batches
from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.backbone.loader import evaluating, load
from pipeline.backbone.read_frames import read_frames
from pipeline.backbone.weights import random_weights
from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.frame_store import FrameFile, write_frames
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.transform import Transform
from pipeline.progress import Progress

MEAN = (0.485, 0.456, 0.406)
TRANSFORM = Transform(256, 224, "bilinear", MEAN, (0.229, 0.224, 0.225)).cropped(32)


def darker(frames: LabelledFrames) -> LabelledFrames:
    """Frames whose pixels, once normalised, are half of those of `frames`."""
    paths = []
    for path in frames.containers:
        with FrameFile(path) as file:
            grey = 255 * np.array(MEAN)
            images = [(grey + (file.image(k) - grey) / 2).round() for k in range(len(file))]
        encoded = [cv2.imencode(".png", i.astype(np.uint8)[..., ::-1])[1].tobytes() for i in images]
        target = Path("shifted") / path.name
        write_frames(target, [(e, float(k)) for k, e in enumerate(encoded)], {"video": path.stem})
        paths.append(target)
    return replace(frames, containers=tuple(paths))


def adapted(frames, network):
    with Progress("adabn", 1, "none") as progress:
        adapt(network, frames, TRANSFORM, 12, torch.device("cpu"), 2, progress)
    return network


def features(network, frames):
    images = load(
        frames,
        [np.arange(len(frames))],
        evaluating(TRANSFORM),
        2,
    )
    with torch.inference_mode():
        return network.eval()(TRANSFORM.normalise(next(images)))


def network(name="tiny_cnn"):
    built = build_backbone(name).network
    built.load_state_dict(random_weights(name, 1))
    return built


def test_adabn_brings_the_features_of_a_shifted_copy_back(project):
    frames = read_frames(("train",), labels=False)
    shifted = darker(frames)
    one = adapted(frames, network("resnet18"))
    wanted, off = features(one, frames), features(one, shifted)
    back = features(adapted(shifted, network("resnet18")), shifted)
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
        evaluating(TRANSFORM),
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
    few = evenly_spaced(frames, 4)
    assert len(few) == 12 and set(few.sample) >= {0, FRAMES - 1}


def test_the_stage_says_which_videos_it_adapted_to_and_reads_no_label(project):
    for path in Path("data/index").glob("labels.csv"):
        path.unlink()
    make = {"mode": "adabn", "adabn": {"split": "test", "batch": 6}}
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


def test_adabn_after_finetuning(project):
    make_project(mode="finetune_adabn", adabn={"split": "val"})
    assert "fine-tuned on 36 frames" in stage.run()
    _, header = load_checkpoint(Path("models/backbone.safetensors"))
    assert header["adabn"]["videos"] == ["c"] and header["finetune"]["training_frames"] == 36
