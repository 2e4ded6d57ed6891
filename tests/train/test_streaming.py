"""Features that are mapped, streamed or held on a device train as those in memory do."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from pipeline.feature_store import prefetch, read_features, write_features
from pipeline.networks.temporal import KINDS
from pipeline.sequences import FrameTarget, Sequence
from pipeline.train import loop, resident
from pipeline.train.loop import initial_network, train
from pipeline.train.params import TrainParams
from pipeline.training.state import StateFile

CPU = torch.device("cpu")


@pytest.fixture
def mapped(tmp_path):
    """Five videos as read_split gives them: four to learn from, one to choose by."""
    videos = []
    for seed in range(5):
        length = 40 + 5 * seed
        labels = np.arange(length) * 3 // length
        noise = np.random.default_rng(seed).normal(0, 1, (length, 12))
        features = (2 * np.eye(3, 12)[labels] + noise).astype(np.float16)
        write_features(tmp_path / f"{seed}.h5", features, np.arange(float(length)), {})
        content = read_features(tmp_path / f"{seed}.h5")
        target = FrameTarget(labels.astype(np.int64))
        videos.append(
            Sequence(f"{seed}", content.features, target, content.time_s, 1.0, "w", f"{seed}")
        )
    return videos


def weights_of(videos, tmp_path, kind="rnn", **values):
    settings = KINDS[kind].Params(**({"hidden": 8} if kind == "rnn" else {}))
    network = initial_network(KINDS[kind], settings, 3, videos[:4], 1)
    params = TrainParams(epochs=2, early_stop=0, **values)
    state = StateFile(tmp_path / "state")
    return train(network, videos[:4], videos[4:], params, 1, CPU, state, lambda row: None).weights


def same_bytes(one, two):
    return all(one[name].numpy().tobytes() == two[name].numpy().tobytes() for name in one)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("rnn", {}),
        ("rnn", {"batch": 2, "window": 16}),
        ("tecno", {"batch": 3, "augment": {"noise": 0.1, "crop": 0.5}}),
    ],
)
def test_mapped_features_train_to_the_bytes_of_those_in_memory(mapped, tmp_path, kind, values):
    read = [replace(v, features=np.array(v.features)) for v in mapped]
    assert all(v.features.base is None for v in read)
    weights = [weights_of(videos, tmp_path, kind, **values) for videos in (mapped, read)]
    assert same_bytes(*weights)


def test_mapped_features_take_no_memory_of_the_process(tmp_path):
    """The kernel can take back what it read; what the process itself has allocated, it cannot."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs Linux's account of a process's memory")

    def allocated_mb():
        return int(re.search(r"RssAnon:\s+(\d+)", status.read_text())[1]) / 1000

    for number in range(4):
        rows = np.full((10_000, 1024), number, np.float16)  # 20 MB
        write_features(tmp_path / f"{number}.h5", rows, np.arange(10_000.0), {})
    del rows
    before = allocated_mb()
    videos = [read_features(tmp_path / f"{number}.h5").features for number in range(4)]
    for number, features in enumerate(videos):
        prefetch(features)
        assert features[::100, ::100].max() == number
    assert allocated_mb() - before < 20


def test_changes_of_mapped_features_do_not_reach_the_file(tmp_path):
    path = tmp_path / "v.h5"
    write_features(path, np.ones((3, 2), np.float16), np.arange(3.0), {})
    read_features(path).features[:] = 0
    assert (read_features(path).features == 1).all()


@pytest.mark.parametrize("layout", [{"chunks": (4, 2)}, {"compression": "gzip"}])
def test_files_in_pieces_are_read_as_well(tmp_path, layout):
    rows = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float16)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_dataset("features", data=rows, **layout)
        file["time_s"] = np.arange(9.0)
        file.attrs["format_version"] = 1
    features = read_features(tmp_path / "v.h5").features
    prefetch(features)
    assert np.array_equal(features, rows)


@pytest.mark.parametrize("videos_with_room", [0, 2, 5])
def test_a_device_holds_what_fits_and_the_weights_are_the_same(
    mapped, tmp_path, monkeypatch, videos_with_room
):
    """The processor stands in for a GPU."""
    alone = weights_of(mapped, tmp_path)
    room = sum(video.features.nbytes for video in mapped[:videos_with_room])
    placed = resident.within(mapped, CPU, room)
    held = [isinstance(video, resident.OnDevice) for video in placed]
    assert held == [number < videos_with_room for number in range(5)]
    monkeypatch.setattr(loop, "resident", lambda videos, _: resident.within(videos, CPU, room))
    assert same_bytes(alone, weights_of(mapped, tmp_path))


def test_while_a_batch_is_learnt_the_next_one_is_fetched(mapped):
    events = []
    for video in mapped:
        fetch = partial(events.append, ("fetched", video.video))
        object.__setattr__(video, "prefetch", fetch)
    network = initial_network(KINDS["linear"], KINDS["linear"].Params(), 3, mapped, 1)
    params = TrainParams(batch=2)
    for batch in loop.batches(mapped, params, network.standardise, 1, 1):
        events.append(("learnt", *(video.video for video in batch)))
    learnt = [event for event in events if event[0] == "learnt"]
    for event in learnt[1:]:
        for video in event[1:]:
            assert events.index(("fetched", video)) < events.index(event)
    assert events.index(learnt[0]) < events.index(("fetched", learnt[-1][1]))
