"""Backbones that read clips are fine-tuned and adapted as those of images are."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_clips
import torch
from frames_project import FRAMES, make_project, settings

from pipeline.backbone import stage
from pipeline.backbone.loader import load
from pipeline.backbone.loop import augmenting
from pipeline.backbone.params_finetune import FinetuneParams
from pipeline.backbone.read_frames import read_classes, read_frames
from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.networks.backbones import CLIP_FAMILIES
from pipeline.networks.backbones.transform import Transform

pytestmark = pytest.mark.usefixtures("without_pictures")

CLIP = {"frames": 3, "stride_s": 1.0, "position": "past"}


def record_clip(clip=CLIP):
    recipe = {"fps": "1", "sample_fps": "1", "short_side": 40, "clip": clip}
    Path("data/frames/recipe.json").write_text(json.dumps(recipe))


@pytest.fixture
def project(workplace, monkeypatch):
    monkeypatch.setitem(CLIP_FAMILIES, "tiny", tiny_clips)
    make_project({"epochs": 6}, name="tiny_3d", clip=CLIP)
    record_clip()
    return workplace


def trained():
    return load_checkpoint(Path("models/backbone.safetensors"))


@pytest.mark.parametrize("strategy", ["whole", "progressive", "freeze_until"])
def test_a_network_of_clips_learns(project, strategy):
    settings(
        {"strategy": strategy, "epochs": 20, "unfreeze_every": 1, "freeze_until": 1},
        name="tiny_3d",
        clip=CLIP,
    )
    stage.run()
    _, header = trained()
    assert header["name"] == "tiny_3d@3"
    assert header["clip"] == CLIP
    assert header["finetune"]["val_macro_f1"] > 0.6


def test_the_same_clips_give_the_same_weights_and_others_give_others(project):
    stage.run()
    first = trained()[1]["tensors_hash"]
    stage.run()
    assert trained()[1]["tensors_hash"] == first
    other = CLIP | {"position": "centred"}
    settings({"epochs": 6}, name="tiny_3d", clip=other)
    record_clip(other)
    stage.run()
    assert trained()[1]["tensors_hash"] != first
    assert len(list(Path(".store/backbone").glob("*.safetensors"))) == 2


def test_all_frames_of_a_clip_are_augmented_alike(project):
    frames = read_frames(("train",))
    frames.clips[:] = frames.clips[:, -1:]  # clips of one frame, three times
    transform = Transform(32, 32, "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    prepare = augmenting(transform, FinetuneParams(), 1)
    (clips,) = load(frames, [np.arange(4)], prepare, 2)
    assert clips.shape == (4, 3, 3, 32, 32)
    assert torch.equal(clips[:, 0], clips[:, 1])
    assert torch.equal(clips[:, 0], clips[:, 2])


def test_a_clip_holds_the_frames_before_its_sample(project):
    frames = read_frames(("train",))
    assert frames.clips[FRAMES + 5].tolist() == [3, 4, 5]
    assert frames.clips[FRAMES].tolist() == [0, 0, 0]
    assert frames.sample[FRAMES + 5] == 5


def test_batch_norm_over_clips_is_adapted(project):
    settings(mode="adabn", name="tiny_3d", clip=CLIP, adabn={"batch": 4})
    stage.run()
    tensors, header = trained()
    assert header["adabn"]["frames"] == FRAMES
    assert not torch.equal(tensors["2.running_mean"], torch.zeros(8))


def give_values(values):
    rows = [f"{video},{video}.mp4,{value}" for video, value in values.items()]
    others = "sha256,width,height,fps,frames,duration_s,problem"
    table = Path("data/index/videos.csv")
    table.write_text("\n".join([f"video,path,experience,{others}", *(f"{r},,,,,,," for r in rows)]))


def test_a_class_per_video_is_learnt_from_a_column_of_the_videos(project):
    give_values({"a": "novice", "b": "expert", "c": "novice", "d": "other"})
    assert read_classes("experience") == ("expert", "novice")  # test video d does not count
    frames = read_frames(("train", "test"), target="experience")
    assert frames.labels.tolist() == [1] * FRAMES + [0] * FRAMES + [-1] * FRAMES
    settings({"target": "experience"}, name="tiny_3d", clip=CLIP)
    stage.run()
    found = trained()[1]["finetune"]
    assert found["classes"] == ["expert", "novice"]
    assert found["target"] == "experience"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("skill", r"finetune.target: found 'skill'. Allowed: phase, or a column.*experience"),
        ("experience", r"have the values novice in data/index/videos.csv; two or more"),
    ],
)
def test_a_target_that_cannot_be_learnt_is_named(project, target, message):
    give_values({"a": "novice", "b": "novice", "c": "", "d": "expert"})
    settings({"target": target}, name="tiny_3d", clip=CLIP)
    with pytest.raises(PipelineError, match=message):
        stage.run()
