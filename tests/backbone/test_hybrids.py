"""Several networks trained or adapted as one."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest
import test_loop
import tiny
import torch
from frames_project import SPLITS, settings

from pipeline.backbone import fine_tuning, loop, stage
from pipeline.backbone.hybrid_weights import initial_weights_of
from pipeline.backbone.params import BackboneParams
from pipeline.backbone.params_finetune import FinetuneParams
from pipeline.backbone.preconditions import check_backbone
from pipeline.backbone.strategy import parameter_groups
from pipeline.backbone.task import FineTuning
from pipeline.checkpoint import load_checkpoint, save_checkpoint
from pipeline.doctor import _sizes
from pipeline.errors import PipelineError
from pipeline.evaluate.facts import untrained
from pipeline.features import stage as features
from pipeline.networks.backbones import CLIP_FAMILIES, FAMILIES, build_backbone
from pipeline.networks.backbones.fusion import FUSIONS, WIDTH
from pipeline.networks.backbones.transform import Transform

pytestmark = pytest.mark.usefixtures("without_pictures")

OUTPUT = Path("models/backbone.safetensors")
NAMES = ["tiny_cnn", "tiny_vit"]


def names_for(fusion):
    # The toy transformer has no map to attend to.
    return ["tiny_cnn", "tiny_cnn"] if fusion == "cross_attention" else NAMES


def task_of(finetune, fusion="concat", names=None):
    chosen = BackboneParams(
        name=names or names_for(fusion), mode="finetune", crop=32, fusion=fusion, finetune=finetune
    )
    initial = initial_weights_of(chosen, 1)
    task = test_loop.task_of(finetune)
    return FineTuning(
        name=chosen.network,
        tensors=initial.tensors,
        transform=initial.transform.cropped(32),
        training=task.training,
        validation=task.validation,
        num_classes=3,
        params=finetune,
        seed=3,
    )


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_learns_and_every_network_with_it(project, fusion):
    finetune = test_loop.params_of(epochs=6, lr=3e-3, augment={"smallest_crop": 1.0})
    task = task_of(finetune, fusion)
    before = task.build_classifier().state_dict()
    (_, header), after = test_loop.trained(task)
    losses = [row["train_loss"] for row in header["history"]]
    assert losses[-1] < 0.9 * losses[0]
    for part in ("parts.0.", "parts.1.", "fusion."):
        weights = [
            key
            for key in before
            if key.startswith(f"backbone.{part}") and before[key].is_floating_point()
        ]
        assert bool(weights) == (part != "fusion." or fusion != "concat")
        assert all(not torch.equal(before[key], after[key]) for key in weights), part


def test_the_normalisation_of_each_network_is_no_weight(project):
    finetune = test_loop.params_of()
    task = task_of(finetune, "gate")
    _, after = test_loop.trained(task)
    for name in ("scale", "shift"):
        assert torch.equal(after[f"backbone.{name}"], task.tensors[name])


CNN = {"conv1", "bn1", "layer1", "layer2"}
VIT = {"conv_proj", "positions", "layer1", "layer2", "norm"}
NONE: set[str] = set()


@pytest.mark.parametrize(
    ("values", "per_epoch"),
    [
        ({"strategy": "two_stage", "unfreeze_epoch": 2}, [(NONE, NONE), (CNN, VIT)]),
        (
            {"strategy": "progressive", "unfreeze_every": 1},
            [(NONE, NONE), ({"layer2"}, {"layer2", "norm"})],
        ),
        (
            {"strategy": "freeze_until", "freeze_until": 3},
            [({"layer1", "layer2"}, {"layer1", "layer2", "norm"})],
        ),
        ({"strategy": "freeze_until", "freeze_until": 2}, [({"layer1", "layer2"}, VIT)]),
    ],
)
def test_strategies_thaw_all_networks_in_step(project, monkeypatch, values, per_epoch):
    """The toy CNN has five blocks, the toy transformer three: its patches are in the third."""
    seen = []
    original = loop.set_trained

    def watched(network, first):
        seen.append(test_loop.state_of(network))
        original(network, first)

    monkeypatch.setattr(loop, "set_trained", watched)
    finetune = test_loop.params_of(epochs=len(per_epoch), **values)
    _, last = test_loop.trained(task_of(finetune, "gate"))
    seen.append(last)
    for epoch, expected in enumerate(per_epoch):
        before, after = seen[epoch], seen[epoch + 1]
        changed = [key for key in before if not torch.equal(before[key], after[key])]
        for part, blocks in enumerate(expected):
            begin = f"backbone.parts.{part}."
            assert {key.split(".")[3] for key in changed if key.startswith(begin)} == blocks
        fusion = any(key.startswith("backbone.fusion.") for key in changed)
        assert fusion == bool(expected[0])


def test_the_fusion_learns_at_the_rate_of_the_highest_block(project):
    finetune = test_loop.params_of(backbone_lr=0.1, layer_decay=0.5)
    network = task_of(finetune, "gate").build_classifier()
    groups = parameter_groups(network, finetune)
    fusion = {id(p) for p in network.backbone.fusion.parameters()}
    rates = {g["rate"] for g in groups if fusion & {id(p) for p in g["params"]}}
    assert rates == {0.1}
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


def test_checkpointing_changes_no_bit(project):
    plain, _ = test_loop.trained(task_of(test_loop.params_of(), "gate"), state="one")
    saving = test_loop.params_of(checkpointing=True)
    other, _ = test_loop.trained(task_of(saving, "gate"), state="two")
    assert test_loop.equal(plain[0], other[0])


def test_the_file_alone_rebuilds_the_network_that_was_trained(project):
    settings(name=NAMES, fusion="gate")
    line = stage.run()
    assert "tiny_cnn+tiny_vit:gate, weights random, fine-tuned on 36 frames, epoch" in line
    tensors, header = load_checkpoint(OUTPUT)
    assert header["name"] == "tiny_cnn+tiny_vit:gate" and header["dim"] == WIDTH
    assert header["transform"]["crop_px"] == 224 and header["params"]["fusion"] == "gate"
    assert [part["name"] for part in header["parts"]] == NAMES
    assert not untrained(header)
    network = build_backbone(header["name"]).network
    network.load_state_dict(tensors)
    save_checkpoint(Path("again.safetensors"), network.state_dict(), header)
    assert Path("again.safetensors").read_bytes() == OUTPUT.read_bytes()


def test_the_fused_vector_is_what_the_features_stage_writes(project):
    settings(name=NAMES, fusion="gate")
    stage.run()
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(f"{text}features: {{crop: 32, dtype: float32}}\n")
    # As the frames stage writes them.
    for video in SPLITS:
        with h5py.File(f"data/frames/{video}.h5", "r+") as file:
            file.attrs["height"], file.attrs["width"] = 40, 60
    Path("data/frames/masked.csv").write_text("video,lost,samples\n")
    Path("data/frames/recipe.json").unlink()
    assert "4 computed" in features.run()
    with h5py.File("features/videos/d.h5") as file:
        assert file["features"].shape == (18, WIDTH)
        assert file.attrs["backbone"] == "tiny_cnn+tiny_vit:gate"


def test_another_fusion_is_another_training_and_the_same_is_found(project, monkeypatch):
    settings(name=NAMES, fusion="gate")
    stage.run()
    first = OUTPUT.read_bytes()
    settings(name=NAMES, fusion="add")
    stage.run()
    assert OUTPUT.read_bytes() != first
    monkeypatch.setattr(fine_tuning, "train", lambda *_: pytest.fail("trained again"))
    settings(name=NAMES, fusion="gate")
    stage.run()
    assert OUTPUT.read_bytes() == first


def test_the_fusion_of_one_network_decides_nothing(project, monkeypatch):
    stage.run()
    first = OUTPUT.read_bytes()
    monkeypatch.setattr(fine_tuning, "train", lambda *_: pytest.fail("trained again"))
    settings(fusion="gate")
    stage.run()
    assert OUTPUT.read_bytes() == first


def test_batch_norm_of_all_networks_is_adapted(project):
    names = ["tiny_cnn", "tiny_cnn"]
    settings(name=names, mode="adabn", adabn={"split": "val"})
    assert "tiny_cnn+tiny_cnn, weights random, batch norm of 18 frames" in stage.run()
    tensors, _ = load_checkpoint(OUTPUT)
    before = initial_weights_of(BackboneParams(name=names, mode="adabn", crop=32), 3).tensors
    for key, tensor in tensors.items():
        assert torch.equal(tensor, before[key]) == ("running" not in key), key
    settings(name="tiny_cnn", mode="adabn", adabn={"split": "val"})
    stage.run()
    alone, _ = load_checkpoint(OUTPUT)
    for key, tensor in alone.items():
        for number in (0, 1):
            torch.testing.assert_close(tensors[f"parts.{number}.{key}"], tensor)


def test_weights_that_want_other_images_are_normalised_for(project):
    stage.run()
    tensors, header = load_checkpoint(OUTPUT)
    other = header["transform"] | {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5]}
    save_checkpoint(Path("w.safetensors"), tensors, header | {"transform": other})
    chosen = BackboneParams(
        name=["tiny_cnn", "tiny_cnn"], weights=["random", "w.safetensors"], mode="finetune", crop=32
    )
    initial = initial_weights_of(chosen, 3)
    made = build_backbone(chosen.network)
    made.network.load_state_dict(initial.tensors)
    alone = build_backbone("tiny_cnn").network
    alone.load_state_dict(tensors)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        found = made.network.eval()(initial.transform.normalise(images))[:, tiny.DIM :]
        expected = alone.eval()(Transform(**other).normalise(images))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def refused(**values):
    check_backbone(BackboneParams(**({"name": NAMES, "mode": "finetune"} | values)))


def test_what_cannot_be_trained_together_is_named(project, monkeypatch):
    head = FinetuneParams(strategy="head")
    with pytest.raises(PipelineError, match=r"strategy: found head, .*fusion: gate"):
        refused(fusion="gate", finetune=head)
    refused(fusion="concat", finetune=head)
    with pytest.raises(PipelineError, match=r"backbone\.fusion: tiny_vit has no map"):
        refused(fusion="cross_attention")
    with pytest.raises(PipelineError, match=r"mode: found finetune, but pixels has no weights"):
        refused(name=["tiny_cnn", "pixels"])
    with pytest.raises(PipelineError, match=r"found adabn, but tiny_vit\+tiny_vit has no batch"):
        refused(name=["tiny_vit", "tiny_vit"], mode="adabn")
    with pytest.raises(PipelineError, match=r"freeze_until: found 5.*tiny_cnn\+tiny_vit.*1 to 4"):
        refused(finetune=FinetuneParams(strategy="freeze_until", freeze_until=5))
    with pytest.raises(PipelineError, match=r"here 40 px, which one of tiny_cnn\+tiny_vit cannot"):
        initial_weights_of(BackboneParams(name=NAMES, mode="finetune", crop=40), 1)


def test_networks_of_clips_are_refused(project, monkeypatch):
    class OfClips:
        NAMES = ("toy_3d",)

    monkeypatch.setitem(CLIP_FAMILIES, "toy", OfClips)
    with pytest.raises(PipelineError, match=r"backbone\.name: toy_3d reads clips"):
        refused(name=["tiny_cnn", "toy_3d"], mode="frozen")


def test_networks_of_other_channels_are_refused_together(project, monkeypatch):
    class OfBgr:
        NAMES = ("tiny_bgr",)

        @staticmethod
        def build(name):
            made = tiny.build("tiny_cnn")
            bgr = replace(made.transform, channels="bgr")
            return replace(made, name=name, transform=bgr)

        published = tiny.published

    monkeypatch.setitem(FAMILIES, "bgr", OfBgr)
    with pytest.raises(ValueError, match="some were trained on RGB images"):
        build_backbone("tiny_cnn+tiny_bgr")
    with pytest.raises(PipelineError, match=r"backbone\.fusion: some were trained on RGB"):
        refused(name=["tiny_cnn", "tiny_bgr"])


def test_random_and_trained_networks_are_told_apart():
    mixed = [{"weights": "random"}, {"weights": "w.pth"}]
    assert untrained({"weights": "random + w.pth", "parts": mixed})
    assert not untrained({"weights": "w", "parts": [{"weights": "w"}, {"weights": "w"}]})


def test_the_doctor_looks_at_the_network_that_wants_the_largest_frames():
    said = []
    for mode in ("frozen", "finetune"):
        params = SimpleNamespace(
            backbone=BackboneParams(name=["resnet18", "efficientnet_b5"], mode=mode),
            frames=SimpleNamespace(short_side=256),
            features=SimpleNamespace(crop=None),
        )
        _sizes(params, said.append)
    # Trained together, both see what the first one wants.
    assert len(said) == 1 and "efficientnet_b5 sees frames of 456 px" in said[0]
