"""Fine-tuning with an RNN behind the backbone: what single frames cannot tell."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from frames_project import FRAMES, settings

from pipeline.backbone import context, context_loop, loop, stage
from pipeline.backbone.context import identity, samples_between
from pipeline.backbone.context_loop import ContextTuning, predict
from pipeline.backbone.context_windows import NONE, tracks, training_windows, windows
from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.backbone.params import BackboneParams
from pipeline.backbone.params_finetune import ContextParams, FinetuneParams
from pipeline.backbone.read_frames import read_frames
from pipeline.backbone.weights import random_weights
from pipeline.checkpoint import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.frame_store import write_frames
from pipeline.networks.backbones.transform import Transform
from pipeline.training.state import StateFile

CPU = torch.device("cpu")
TRANSFORM = Transform(256, 224, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)).cropped(
    32
)
STILL = {
    **{"smallest_crop": 1.0, "flip": 0.0, "rotation_deg": 0.0, "erasing": 0.0},
    **{"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0},
}
SMALL = {"frames": 6, "hidden": 12}


def params_of(**values):
    chosen = {"strategy": "whole", "backbone_lr": 1.0, "lr": 1e-2, "epochs": 2, "batch": 18}
    chosen |= {"early_stop": 0, "augment": STILL, "context": SMALL}
    return FinetuneParams.model_validate(chosen | values)


def task_of(params, every=1):
    training, validation = (read_frames((split,)).without_tools() for split in ("train", "val"))
    weights = random_weights("tiny_cnn", 1)
    return ContextTuning(
        "tiny_cnn", weights, TRANSFORM, training, validation, 3, params, every, seed=3
    )


def trained(task, on_epoch=lambda row: None, state="state"):
    network, file = task.build(), StateFile(Path(state))
    context_loop.fine_tune(network, task, file, CPU, 1, on_epoch)
    return network, file.best()


def equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def rows_of(lengths, every=1):
    """Frames of videos of so many samples, all unlabelled."""
    video = np.repeat(np.arange(len(lengths)), lengths)
    sample = np.concatenate([np.arange(length) for length in lengths])
    names = tuple(Path(f"{number}.h5") for number in range(len(lengths)))
    labels, tools = np.full(len(video), -1), np.zeros((len(video), 0), np.float32)
    return LabelledFrames(names, tuple(map(str, names)), video, sample, labels, tools)


@pytest.mark.parametrize("carry", [True, False])
@pytest.mark.parametrize("every", [1, 3])
def test_an_epoch_holds_the_frames_of_one_offset_once_in_windows_of_one_video(carry, every):
    frames = rows_of([31, 7, 16, 20])
    plan = training_windows(frames, every, 5, 2, carry, seed=4)
    seen = np.concatenate([window.frames for window in plan])
    assert len(set(seen)) == len(seen)
    assert len(seen) >= len(frames) // every - 4
    for window in plan:
        assert len(window.frames) >= 2 and window.rows.shape[1] <= 5
        for row in window.rows:
            row = row[row != NONE]
            assert len(set(frames.video[row])) <= 1
            assert (np.diff(frames.sample[row]) == every).all()
    again = training_windows(frames, every, 5, 2, carry, seed=4)
    assert all(np.array_equal(a.rows, b.rows) for a, b in zip(plan, again, strict=True))
    other = [window.frames.tolist() for window in training_windows(frames, every, 5, 2, carry, 5)]
    assert other != [window.frames.tolist() for window in plan]


def test_a_carried_window_goes_on_where_the_one_before_has_ended():
    frames = rows_of([31, 7, 16, 20])
    plan = training_windows(frames, 1, 5, 2, True, seed=4)
    for before, after in pairwise(plan):
        if after.begins:
            continue
        for one, two in zip(before.rows, after.rows, strict=True):
            assert two[0] == NONE or two[0] == one[-1] + 1


def test_every_frame_is_predicted_once_whatever_the_stride():
    frames = rows_of([11, 6])
    found = [t for offset in range(3) for t in tracks(frames, 3, [offset] * 2)]
    rows = np.concatenate([window.frames for window in windows(found, 4, 2)])
    assert sorted(rows) == list(range(17))


@pytest.mark.parametrize(("rnn", "carry"), [("lstm", False), ("gru", True)])
def test_the_class_of_the_frame_before_is_learnt_which_no_single_frame_tells(workplace, rnn, carry):
    """Frames are red or blue at random, and each is labelled by the colour of the one before."""
    length = 48
    parts = []
    for number in range(3):
        red = np.random.default_rng(number).integers(0, 2, length)
        samples = []
        for k in range(length):
            pixels = np.full((32, 32, 3), 60, np.uint8)
            pixels[..., 2 if red[k] else 0] = 200
            samples.append((cv2.imencode(".png", pixels)[1].tobytes(), float(k)))
        attributes = {"video": f"{number}", "fps": 1.0, "fingerprint": f"{number}"}
        write_frames(Path(f"{number}.h5"), samples, attributes)
        labels = np.concatenate([[-1], red[:-1]])
        frames = rows_of([length])
        parts.append(replace(frames, containers=(Path(f"{number}.h5"),), labels=labels))
    training = replace(
        rows_of([length, length]),
        containers=(Path("0.h5"), Path("1.h5")),
        labels=np.concatenate([part.labels for part in parts[:2]]),
    )
    values = {"epochs": 10, "label_smoothing": 0.0, "class_weights": "none", "batch": 16}
    values["context"] = {"frames": 8, "hidden": 12, "rnn": rnn, "carry": carry}
    values["scheduler"] = "constant"
    weights = random_weights("tiny_cnn", 1)
    task = ContextTuning(
        "tiny_cnn", weights, TRANSFORM, training, parts[2], 2, params_of(**values), 1, seed=3
    )
    rows = []
    _, (best, _) = trained(task, rows.append)
    # Without carried state nothing is known at the start of a window of eight.
    assert max(row.val_accuracy for row in rows) > (0.97 if carry else 0.88)
    changed = [k for k, t in weights.items() if not torch.equal(t, best[f"backbone.{k}"])]
    assert any("conv1" in name for name in changed)


def test_a_window_knows_of_those_before_it_where_state_is_carried(project):
    """Logits of a walk in windows are those of the whole video at once."""
    task = task_of(params_of())
    network = task.build()
    found = predict(network, task, CPU, 1)
    whole = replace(task, params=params_of(context={**SMALL, "frames": FRAMES}))
    torch.testing.assert_close(found, predict(network, whole, CPU, 1), rtol=1e-4, atol=1e-5)
    alone = replace(task, params=params_of(context={**SMALL, "carry": False}))
    others = predict(network, alone, CPU, 1)
    torch.testing.assert_close(others[:6], found[:6], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(others[6:], found[6:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("carry", [True, False])
def test_a_resumed_training_ends_with_the_weights_of_an_undisturbed_one(project, carry):
    context = {**SMALL, "carry": carry}
    task = task_of(params_of(epochs=4, strategy="two_stage", unfreeze_epoch=2, context=context))
    network, whole = trained(task, state="one")

    class Killed(Exception):
        pass

    def kill(row):
        if row.epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        trained(task, kill, state="two")
    resumed, best = trained(task, state="two")
    assert equal(network.state_dict(), resumed.state_dict())
    assert equal(whole[0], best[0]) and whole[1] == best[1]


def test_checkpointing_and_mixed_precision_train_as_well(project):
    weights = [
        trained(task_of(params_of(checkpointing=c)), state=f"{c}")[1][0] for c in (False, True)
    ]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor)
    _, (_, header) = trained(task_of(params_of(precision="bf16-mixed")), state="bf16")
    assert len(header["history"]) == 2


def test_the_stage_keeps_the_backbone_alone_and_leaves_its_rnn_for_the_train_stage(
    project, monkeypatch
):
    Path("data/frames/d.h5").unlink()  # the test video
    settings({"context": SMALL, "epochs": 3, "batch": 12})
    assert "fine-tuned with context" in stage.run()
    tensors, header = load_checkpoint(Path("models/backbone.safetensors"))
    assert not any(name.startswith("recurrent") for name in tensors)
    assert header["params"]["finetune"]["context"]["frames"] == 6
    recurrent, described = load_checkpoint(Path("reports/backbone/recurrent.safetensors"))
    assert recurrent["head.weight"].shape == (3, 12)
    assert described["weights_hash"] == header["tensors_hash"]
    metrics = json.loads(Path("reports/backbone/metrics.json").read_text())
    assert metrics["validation_frames"] == FRAMES
    first = Path("models/backbone.safetensors").read_bytes()
    monkeypatch.setattr(context, "_train", lambda *_: pytest.fail("trained again"))
    stage.run()
    assert Path("models/backbone.safetensors").read_bytes() == first
    Path("data/index/labels.csv").write_text(
        Path("data/index/labels.csv").read_text().replace("d,0.0,6.0,A", "d,0.0,6.0,B")
    )
    stage.run()  # a test video's label decides nothing


def test_without_context_a_training_is_named_as_before_there_was_any(project):
    assert "context" not in FinetuneParams().deciding()
    one, two = (identity(task_of(params_of(context={**SMALL, "hidden": h}))) for h in (12, 13))
    assert one != two


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tools": 1.0}, "tools is 1.0"),
        ({"head": "mlp"}, "head: linear"),
        ({"accumulate": 2}, "accumulate is 2"),
        ({"frames_per_epoch": 9}, "frames_per_epoch: null"),
        ({"precision": "16-mixed"}, "Allowed beside context: 32-true, bf16-mixed"),
        ({"context": {"frames": 1}}, "greater than or equal to 2"),
    ],
)
def test_what_a_context_does_not_read_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        params_of(**values)


def test_a_network_of_clips_has_a_context_of_its_own():
    with pytest.raises(ValueError, match=r"finetune\.context: found beside clip"):
        BackboneParams.model_validate(
            {"clip": {"frames": 4, "stride_s": 1}, "finetune": {"context": SMALL}}
        )


def test_a_stride_is_a_multiple_of_the_time_between_samples():
    assert samples_between(ContextParams(stride_s=1.5), "2") == 3
    assert samples_between(ContextParams(stride_s=10), "1/5") == 2
    assert samples_between(ContextParams(stride_s=None), "2") == 1
    with pytest.raises(PipelineError, match=r"stride_s: found 0\.7, .* multiples of 0\.5"):
        samples_between(ContextParams(stride_s=0.7), "2")


def test_all_frames_of_a_video_are_augmented_alike(project, monkeypatch):
    drawn = []
    original = loop.augment
    monkeypatch.setattr(loop, "augment", lambda *a: drawn.append(a[1]) or original(*a))
    trained(task_of(params_of(epochs=2)))
    assert len(drawn) == 2 * 2 * FRAMES and len(set(drawn)) == 2 * 2  # epochs, videos
