"""Fine-tuning: what trains when, and that nothing but what is meant to decides the weights."""

from pathlib import Path

import lightning_fabric
import numpy as np
import pytest
import torch
from frames_project import FRAMES, make_project
from torch.nn import functional

from pipeline.backbone import loop
from pipeline.backbone.loop import augmenting, predict, steps_of
from pipeline.backbone.params_finetune import FinetuneParams
from pipeline.backbone.read_frames import read_frames
from pipeline.backbone.strategy import parameter_groups
from pipeline.backbone.task import FineTuning
from pipeline.backbone.weights import random_weights
from pipeline.frame_store import FrameFile
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.transform import Transform
from pipeline.training.state import StateFile

TRANSFORM = Transform(256, 224, "bilinear", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)).cropped(
    32
)


def params_of(**values):
    chosen = {"strategy": "whole", "backbone_lr": 1.0, "lr": 1e-3, "epochs": 2, "batch": 12}
    return FinetuneParams(**(chosen | {"early_stop": 0} | values))


def task_of(params, name="tiny_cnn"):
    training, validation = (read_frames((split,)).labelled() for split in ("train", "val"))
    if not params.tools:
        training, validation = training.without_tools(), validation.without_tools()
    return FineTuning(name, random_weights(name, 1), TRANSFORM, training, validation, 3, params, 3)


def state_of(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def one_process():
    return lightning_fabric.Fabric(accelerator="cpu", devices=1)


def trained(task, workers=1, on_epoch=lambda row: None, state="state"):
    """Best weights with their header, and the last weights."""
    network, file = task.build_classifier(), StateFile(Path(state))
    loop.fine_tune(one_process(), network, task, file, workers, lambda *_: None, on_epoch)
    return file.best(), state_of(network)


def equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


RESNET = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
CNN = ("conv1", "bn1", "layer1", "layer2")
VIT = ("conv_proj", "positions", "layer1", "layer2", "norm")


@pytest.mark.parametrize(
    ("name", "values", "per_epoch"),
    [
        ("tiny_cnn", {"strategy": "head"}, [(), ()]),
        ("tiny_cnn", {"strategy": "whole"}, [CNN, CNN]),
        ("tiny_cnn", {"strategy": "two_stage", "unfreeze_epoch": 2}, [(), CNN]),
        ("tiny_cnn", {"strategy": "freeze_until", "freeze_until": 1}, [CNN[1:], CNN[1:]]),
        ("tiny_cnn", {"strategy": "progressive", "unfreeze_every": 1}, [(), CNN[3:], CNN[2:]]),
        ("resnet18", {"strategy": "freeze_until", "freeze_until": 6}, [RESNET[4:]]),
        ("tiny_vit", {"strategy": "head"}, [(), ()]),
        ("tiny_vit", {"strategy": "two_stage", "unfreeze_epoch": 2}, [(), VIT]),
        ("tiny_vit", {"strategy": "freeze_until", "freeze_until": 1}, [VIT[2:]]),
        ("tiny_vit", {"strategy": "progressive", "unfreeze_every": 1}, [(), VIT[3:], VIT[2:]]),
    ],
)
def test_a_strategy_trains_exactly_the_blocks_it_says(
    project, monkeypatch, name, values, per_epoch
):
    """Weights and batch-norm statistics: a block changes in an epoch, or not in a single bit."""
    seen = []
    original = loop.set_trained

    def watched(network, first):
        seen.append(state_of(network))
        original(network, first)

    monkeypatch.setattr(loop, "set_trained", watched)
    (_, header), last = trained(task_of(params_of(epochs=len(per_epoch), **values), name))
    seen.append(last)
    for epoch, parts in enumerate(per_epoch):
        before, after = seen[epoch], seen[epoch + 1]
        changed = {key.split(".")[1] for key in before if not torch.equal(before[key], after[key])}
        assert changed == {"weight", "bias", *parts}  # those of the head, and the blocks'
        for part in parts:
            keys = [key for key in before if key.startswith(f"backbone.{part}")]
            assert all(not torch.equal(before[key], after[key]) for key in keys), part
    if name != "tiny_vit":
        counts = [row["trained_children"] for row in header["history"]]
        assert counts == [len(parts) for parts in per_epoch]


@pytest.mark.parametrize(("name", "blocks"), [("tiny_cnn", 4), ("tiny_vit", 3)])
def test_rates_fall_from_the_head_down(project, name, blocks):
    network = task_of(params_of(), name).build_classifier()
    groups = parameter_groups(network, params_of(backbone_lr=0.1, layer_decay=0.5))
    rates = [group["rate"] for group in groups]
    assert rates == pytest.approx([1, *(0.1 * 0.5**k for k in range(blocks))])
    assert groups[0]["params"][0] is network.head.weight
    assert sum(len(g["params"]) for g in groups) == len(list(network.parameters()))


@pytest.mark.parametrize("values", [{"strategy": "whole"}, {"strategy": "progressive"}])
def test_a_resumed_training_gives_the_weights_of_an_undisturbed_one(project, values):
    task = task_of(params_of(epochs=4, unfreeze_every=1, scheduler="plateau", **values))
    whole, last = trained(task, state="one")

    class Killed(Exception):
        pass

    def kill(row):
        if row.epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        trained(task, on_epoch=kill, state="two")
    rows = []
    resumed, resumed_last = trained(task, on_epoch=rows.append, state="two")
    assert [row.epoch for row in rows] == [1, 2, 3, 4]
    assert equal(last, resumed_last)
    assert equal(whole[0], resumed[0])
    assert whole[1] == resumed[1]


def test_weights_do_not_depend_on_workers(project):
    one, two = (trained(task_of(params_of()), n, state=f"{n}")[1] for n in (1, 4))
    assert equal(one, two)


def test_checkpointing_changes_neither_weights_nor_statistics(project):
    one, two = (
        trained(task_of(params_of(epochs=1, checkpointing=chosen)), state=f"{chosen}")[1]
        for chosen in (False, True)
    )
    assert equal(one, two)


def test_two_accumulated_passes_are_one_of_twice_the_batch(project):
    """Where no batch norm sees how a step is cut: the head alone."""
    (_, whole), weights = trained(task_of(params_of(strategy="head", batch=12)), state="one")
    halved = params_of(strategy="head", batch=6, accumulate=2)
    (_, halves), others = trained(task_of(halved), state="two")
    for name, tensor in weights.items():
        torch.testing.assert_close(others[name], tensor, rtol=1e-5, atol=1e-6)
    losses = [header["history"][-1]["train_loss"] for header in (halves, whole)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_validation_sees_frames_as_the_features_stage_does(project):
    """Logits of the classifier are its head on the backbone's features, plainly transformed."""
    task = task_of(params_of())
    network = task.build_classifier()
    logits, _ = predict(one_process(), network, task.validation, 5, 2)
    with FrameFile(Path("data/frames/c.h5")) as file:
        images = [torch.from_numpy(file.image(k)).permute(2, 0, 1) for k in range(FRAMES)]
    pixels = TRANSFORM.normalise(torch.stack([TRANSFORM.prepare(x) for x in images]))
    with torch.inference_mode():
        expected = network.head(network.backbone.eval()(pixels))
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_a_bgr_backbone_learns_from_bgr():
    """Augmented as in RGB, erased pixels included, and only then turned round."""
    from dataclasses import replace

    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    bgr = replace(TRANSFORM, mean=TRANSFORM.mean[::-1], channels="bgr")
    params = params_of(augment={"erasing": 1.0})
    one, other = (augmenting(transform, params, 5)(image, 2) for transform in (TRANSFORM, bgr))
    assert torch.equal(one.flip(0), other)


def test_tools_are_learnt_beside_the_phases_where_there_are_labels(project):
    """On the frames that were learnt; the hook goes with a phase, the clip with nothing."""
    make_project(tools=True)
    losses = {}
    for weight in (1e-9, 1.0):
        task = task_of(params_of(tools=weight, epochs=10, lr=1e-2))
        network = task.build_classifier()
        _, last = trained(task, state=f"state{weight}")
        network.load_state_dict(last)
        logits = predict(one_process(), network, task.training, 12, 1)[1][:, 0]
        truth = torch.from_numpy(task.training.tools)[:, 0]
        known = ~torch.isnan(truth)
        losses[weight] = functional.binary_cross_entropy_with_logits(logits[known], truth[known])
    assert losses[1.0] < 0.9 * losses[1e-9], losses


def test_steps_hold_every_frame_once_and_no_remainder_is_tiny():
    plan = steps_of(67, params_of(batch=16, accumulate=2), 5)
    rows = np.concatenate([part for step in plan for part in step])
    assert sorted(rows) == list(range(67))
    assert [sum(len(part) for part in step) for step in plan] == [23, 22, 22]
    some = steps_of(67, params_of(frames_per_epoch=20), 5)
    assert np.array_equal(np.concatenate([p for s in some for p in s]), rows[:20])


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize(("frames", "batch", "accumulate"), [(5, 4, 4), (7, 4, 1), (17, 16, 8)])
def test_few_frames_give_each_device_two_in_every_pass(frames, batch, accumulate, devices):
    plan = steps_of(frames, params_of(batch=batch, accumulate=accumulate), 5, devices)
    parts = [part for step in plan for part in step]
    assert sorted(np.concatenate(parts)) == list(range(frames))
    assert min(len(part) for part in parts) >= 2 * devices


def test_a_step_of_few_frames_trains(project):
    """Batch norm cannot work on a pass of a single image."""
    task = task_of(params_of(epochs=1, frames_per_epoch=5, batch=2, accumulate=4))
    (_, header), _ = trained(task)
    assert len(header["history"]) == 1


def test_synchronised_batch_norm_keeps_names_weights_and_modes(project):
    """What two GPUs do can only be prepared on a CPU: torch synchronises on GPUs alone."""
    for name in ("tiny_cnn", "tiny_vit"):
        network = task_of(params_of(), name).build_classifier()
        before, kept = state_of(network), dict(network.named_parameters())
        network.synchronise_batch_norm()
        assert equal(before, state_of(network))
        assert all(p is kept[key] for key, p in network.named_parameters())
        kinds = {type(m) for block in network.blocks for m in block.modules()}
        assert (torch.nn.SyncBatchNorm in kinds) == (name == "tiny_cnn")
        assert torch.nn.BatchNorm2d not in kinds


def test_blocks_and_pool_are_the_network():
    for name in ("resnet18", "tiny_cnn", "tiny_vit"):
        backbone = build_backbone(name)
        network, x = backbone.network.eval(), torch.rand(2, 3, 32, 32)
        expected = network(x)
        for block in backbone.blocks():
            x = block(x)
        assert torch.equal(backbone.pool(x), expected), name
