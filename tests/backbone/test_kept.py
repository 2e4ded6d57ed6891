"""Fine-tuned and adapted backbones are kept in the store by what decides them, and found again."""

import shutil
from pathlib import Path

import pytest
import tiny
from frames_project import add_video, make_project, settings

from pipeline.backbone import adapting, fine_tuning, loop, stage
from pipeline.backbone.params import BackboneParams
from pipeline.backbone.params_finetune import FinetuneParams
from pipeline.lease import EXPIRED_S, LeaseFile
from pipeline.networks.backbones import FAMILIES
from pipeline.result_store import Store

OUTPUT = Path("models/backbone.safetensors")


def outputs():
    files = [OUTPUT, *Path("reports/backbone").rglob("*")]
    return {str(path): path.read_bytes() for path in files if path.is_file()}


def replace_in(path, old, new):
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def _trained(tmp_path_factory):
    """The folder of `trained`, made once."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        here.setenv("DVC_ROOT", str(folder))
        here.setitem(FAMILIES, "tiny", tiny)
        make_project()
        stage.run()
    return folder


@pytest.fixture
def trained(_trained, workplace):
    """A copy of `project` in which the stage has run."""
    shutil.copytree(_trained, workplace, dirs_exist_ok=True)
    return workplace


@pytest.fixture
def count(monkeypatch, without_pictures):
    """How many trainings and adaptations have run; no picture is drawn."""
    ran = {"trained": 0, "adapted": 0}
    for module, name, key in ((fine_tuning, "train", "trained"), (adapting, "adapt", "adapted")):
        original = getattr(module, name)

        def counted(*arguments, original=original, key=key):
            ran[key] += 1
            return original(*arguments)

        monkeypatch.setattr(module, name, counted)
    return ran


def test_a_training_that_is_found_gives_the_bytes_of_one_that_ran(project, monkeypatch):
    stage.run()
    first = outputs()
    for path in outputs():
        Path(path).unlink()  # as DVC does before it runs a stage
    with monkeypatch.context() as patched:
        patched.setattr(fine_tuning, "train", lambda *_: pytest.fail("trained again"))
        stage.run()
    assert outputs() == first
    for path in Path(".store/backbone").iterdir():
        path.unlink()
    stage.run()
    assert outputs() == first


def test_a_test_video_added_trains_nothing_again(project, count):
    stage.run()
    first = outputs()
    add_video("e", "test", 7)
    assert "fine-tuned on 36 frames" in stage.run()
    assert outputs() == first and count["trained"] == 1


def test_back_to_earlier_parameters_trains_nothing_again(trained, count):
    first = OUTPUT.read_bytes()
    settings({"lr": 0.02})
    stage.run()
    settings()
    stage.run()
    assert OUTPUT.read_bytes() == first and count["trained"] == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda: settings({"freeze_until": 3, "plateau_patience": 9, "focal_gamma": 1.0}),
        lambda: settings({"checkpointing": True}),
        lambda: settings(workers=1),
        lambda: (
            replace_in("data/index/phases.csv", "A\n", "Renamed\n")
            or replace_in("data/index/labels.csv", ",A\n", ",Renamed\n")
        ),
        lambda: (
            replace_in("data/index/splits.csv", "b,train", "renamed,train")
            or replace_in("data/index/labels.csv", "b,", "renamed,")
            or Path("data/frames/b.h5").rename("data/frames/renamed.h5")
        ),
        lambda: replace_in("data/index/labels.csv", "d,0,", "d,1,"),  # of a test video
    ],
    ids=["unread parameters", "checkpointing", "workers", "a phase", "a video", "a test label"],
)
def test_what_decides_nothing_trains_nothing(trained, count, change):
    change()
    stage.run()
    assert count["trained"] == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda: settings({"strategy": "two_stage", "unfreeze_epoch": 2}),
        lambda: settings({"augment": {"flip": 0.1}}),
        lambda: settings(crop=40),
        lambda: settings(name="tiny_vit"),
        lambda: replace_in("data/index/labels.csv", "a,0,", "a,1,"),
        lambda: replace_in("data/index/labels.csv", "c,0,", "c,1,"),
        lambda: add_video("e", "train", 7),
        lambda: replace_in("params.yaml", "seed: 3", "seed: 4"),
    ],
    ids=["strategy", "augment", "crop", "backbone", "label", "val label", "video", "seed"],
)
def test_what_decides_the_weights_trains_again(trained, count, change):
    first = OUTPUT.read_bytes()
    change()
    stage.run()
    assert count["trained"] == 1 and OUTPUT.read_bytes() != first


def test_the_tools_of_validation_frames_are_read_by_the_report_alone(project, count):
    make_project({"tools": 1.0, "epochs": 1}, tools=True)
    stage.run()
    replace_in("data/index/tools.csv", "c,0,1,", "c,0,0,")
    stage.run()
    assert count["trained"] == 1
    replace_in("data/index/tools.csv", "a,0,1,", "a,0,0,")
    stage.run()
    assert count["trained"] == 2


def test_adapted_weights_are_found_again_under_any_name(project, count):
    settings(mode="adabn", adabn={"split": "val"})
    stage.run()
    first = OUTPUT.read_bytes()
    stage.run()
    assert OUTPUT.read_bytes() == first and count["adapted"] == 1
    settings(mode="adabn", adabn={"split": "val", "batch": 9})
    stage.run()
    assert count["adapted"] == 2


def test_no_other_worker_trains_the_same_meanwhile(project, monkeypatch, without_pictures):
    original = fine_tuning.train

    def locked(tuning, state, *others):
        lease = LeaseFile(state.with_name(f"{state.stem}.safetensors.lease"))
        assert not lease.create("another") and lease.read().age_s < EXPIRED_S
        original(tuning, state, *others)

    monkeypatch.setattr(fine_tuning, "train", locked)
    assert "fine-tuned" in stage.run()


def test_what_another_worker_made_while_this_one_waited_is_taken(project, monkeypatch, count):
    stage.run()
    first = outputs()
    (kept,) = Path(".store/backbone").glob("*.safetensors")
    content = kept.read_bytes()
    kept.unlink()
    original = Store.claimed

    def waited(self, name):
        kept.write_bytes(content)
        return original(self, name)

    monkeypatch.setattr(Store, "claimed", waited)
    stage.run()
    assert outputs() == first and count["trained"] == 1


def test_a_state_that_is_gone_already_stops_nothing(project, monkeypatch, without_pictures):
    original = fine_tuning.save_checkpoint

    def saved(path, *others):
        path.with_suffix(".state").unlink()
        original(path, *others)

    monkeypatch.setattr(fine_tuning, "save_checkpoint", saved)
    assert "fine-tuned on 36 frames" in stage.run()


def test_a_killed_training_leaves_its_state_and_a_finished_one_none(
    project, monkeypatch, without_pictures
):
    def kill(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fine_tuning, "validation_logits", kill)
        with pytest.raises(KeyboardInterrupt):
            stage.run()
    assert not list(Path(".store/backbone").glob("*.safetensors"))
    assert len(list(Path(".store/backbone").glob("*.state"))) == 1
    monkeypatch.setattr(loop, "set_trained", lambda *_: pytest.fail("trained again"))
    assert "fine-tuned on 36 frames" in stage.run()
    assert not list(Path(".store/backbone").glob("*.state"))


def test_a_failure_after_finetuning_costs_no_epoch(project, monkeypatch, count):
    make_project(mode="finetune_adabn", adabn={"split": "val"})

    def full(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(stage, "save_checkpoint", full)
        with pytest.raises(OSError, match="no space"):
            stage.run()
    assert "fine-tuned on 36 frames" in stage.run()
    assert count == {"trained": 1, "adapted": 1}


def test_each_mode_and_option_names_the_parameters_that_it_reads():
    assert BackboneParams().deciding() == {}
    assert BackboneParams(mode="adabn").deciding().keys() == {"crop", "adabn"}
    plateau = FinetuneParams(scheduler="plateau", loss="focal", strategy="head").deciding()
    assert {"plateau_factor", "plateau_patience", "focal_gamma"} <= plateau.keys()
    unread = {"label_smoothing", "freeze_until", "unfreeze_epoch", "unfreeze_every"}
    assert not unread & plateau.keys()
    every = set(FinetuneParams.model_fields) - {"checkpointing", "target"}
    chosen = (
        {"strategy": "two_stage"},
        {"strategy": "freeze_until"},
        {"strategy": "progressive"},
        {"scheduler": "plateau"},
        {"loss": "focal"},
        {"context": {}},
    )
    assert every == set().union(*(FinetuneParams(**values).deciding() for values in chosen))
