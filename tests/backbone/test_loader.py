"""What the network is shown: frames in order, from files that are open for a while, augmented."""

import os
import resource
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from frames_project import FRAMES

from pipeline.backbone.augment import augment
from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.backbone.loader import load
from pipeline.backbone.params_finetune import AugmentParams
from pipeline.backbone.read_frames import read_frames
from pipeline.errors import PipelineError
from pipeline.frame_store import Samples, write_frames

MEAN = (0.485, 0.456, 0.406)
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


def test_lost_samples_are_neither_learnt_nor_adapted_to(project):
    jpegs = [(b"jpeg", float(k)) for k in (0, 2)]
    samples = Samples(np.array([[0], [-1], [1]]), np.arange(3.0))
    write_frames(Path("data/frames/a.h5"), jpegs, {"video": "a", "fingerprint": "0"}, samples)
    for labels in (True, False):
        frames = read_frames(("train",), labels)
        assert frames.sample[frames.video == 0].tolist() == [0, 2]


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
