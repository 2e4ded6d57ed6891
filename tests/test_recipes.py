"""Recipes: what they write into params.yaml, and that they run to the report."""

import os
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from images_project import write_folder
from ruamel.yaml import YAML
from videos import write_video

from pipeline.backbone import stage as backbone
from pipeline.errors import PipelineError
from pipeline.evaluate import stage as evaluate
from pipeline.features import stage as features
from pipeline.frames import stage as frames
from pipeline.index import stage as index
from pipeline.networks.temporal import KINDS
from pipeline.networks.temporal.params import read_model
from pipeline.recipes.command import list_recipes, use_recipe
from pipeline.recipes.files import DEFAULT, read_recipe, recipe_names
from pipeline.recipes.merge import write_recipe
from pipeline.settings import read_section
from pipeline.train import stage as train
from pipeline.train.params import TrainParams

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "recipes"
NAMES = [name for name in recipe_names(RECIPES) if name != DEFAULT]
PARAMS = Path("params.yaml")


@pytest.fixture
def fresh(workplace):
    """params.yaml as it comes, in the current folder."""
    shutil.copy(ROOT / PARAMS, PARAMS)
    return workplace


def leaves(tree, above=""):
    """Values by dotted key; an empty mapping is a value."""
    found = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            found |= leaves(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = value
    return found


def written(name):
    """The keys that a file of recipes/ names, with their values."""
    return read((RECIPES / f"{name}.yaml").read_text())


@cache
def read(text):
    """Values by dotted key; each text is parsed once, which takes long."""
    return leaves(YAML(typ="safe").load(text))


def comments(text):
    return [line.partition("# ")[2] for line in text.splitlines() if "# " in line]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_changes_its_own_keys_and_keeps_everything_else(fresh, name):
    before = PARAMS.read_text()
    told = use_recipe(name, RECIPES)
    after = PARAMS.read_text()
    assert comments(after) == comments(before)
    old, new = read(before), read(after)
    assert [key for key in old if key in new] == [key for key in new if key in old]
    own = written(name)
    assert own == {key: new[key] for key in own}
    changed = {key for key, value in new.items() if old.get(key) != value}
    assert all(any(key.startswith(named) for named in own) for key in changed)
    assert len(told.splitlines()) > 1
    # What only building the network tells: a phase of training that the kind has.
    kind, numbers = read_model()
    with torch.device("meta"):
        network = KINDS[kind].build(32, 4, numbers)
    assert set(read_section(TrainParams, "train").phases) <= set(network.training_phases)
    assert "holds the recipe" in use_recipe(name, RECIPES)
    assert PARAMS.read_text() == after


def test_the_default_recipe_is_the_way_back(fresh):
    shipped = read(PARAMS.read_text())
    back = written(DEFAULT)
    assert back == {key: shipped[key] for key in back}
    for name in NAMES:
        theirs = {key for key in written(name) if not key.startswith(("data.", "split."))}
        # What params.yaml has as null or {} is a section in a recipe.
        assert all(any(key.startswith(known) for known in back) for key in theirs)
    before = PARAMS.read_text()
    for name in ("sv_rcnet", "transsvnet", DEFAULT):
        use_recipe(name, RECIPES)
    assert PARAMS.read_text() == before


def test_a_recipe_leaves_nothing_of_the_one_before(fresh):
    for first, second in (("transsvnet", "tecno"), ("mstcn", "transsvnet"), ("sv_rcnet", "hybrid")):
        shutil.copy(ROOT / PARAMS, PARAMS)
        write_recipe(read_recipe(second, RECIPES))
        alone = PARAMS.read_text()
        shutil.copy(ROOT / PARAMS, PARAMS)
        write_recipe(read_recipe(first, RECIPES))
        write_recipe(read_recipe(second, RECIPES))
        assert yaml.safe_load(PARAMS.read_text()) == yaml.safe_load(alone)


def test_what_the_user_chose_elsewhere_stays(fresh):
    text = PARAMS.read_text().replace("weights: random", "weights: mine.pth", 1)
    PARAMS.write_text(text.replace("seeds: null", "seeds: [1, 2]"))
    told = use_recipe("tecno", RECIPES)
    assert "  train.lr: 1.0e-3 -> 7.0e-5" in told.splitlines()
    params = yaml.safe_load(PARAMS.read_text())
    assert params["backbone"]["weights"] == "mine.pth" and params["train"]["seeds"] == [1, 2]


def test_a_recipe_that_does_not_fit_changes_nothing(fresh):
    PARAMS.write_text(PARAMS.read_text().replace("window: null", "window: 16"))
    before = PARAMS.read_text()
    for name, message in (("tecno", r"train\.window is 16"), ("skill", "needs whole videos")):
        with pytest.raises(PipelineError, match=rf"(?s)rest of params\.yaml.*{message}"):
            use_recipe(name, RECIPES)
    assert PARAMS.read_text() == before and [p.name for p in Path().iterdir()] == ["params.yaml"]


def test_unknown_names_and_wrong_folders_are_refused(fresh):
    with pytest.raises(PipelineError, match=r"found 'resnet50_lst'\. Did you mean resnet50_lstm\?"):
        use_recipe("resnet50_lst", RECIPES)
    with pytest.raises(PipelineError, match="Run from the folder"):
        use_recipe("tecno")
    assert all(name in list_recipes(RECIPES) for name in NAMES)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Six videos of 4 s by three surgeons, in two phases; a store that all recipes share."""
    folder = tmp_path_factory.mktemp("recipes")
    rows, details = [], []
    for number in range(6):
        name = f"v{number}"
        write_video(folder / f"ours/{name}.mp4", 40 + number, fps=10)
        split = ("train", "train", "train", "train", "val", "test")[number]
        rows += [(name, 0, 2, "cut", split), (name, 2, 4, "sew", split)]
        details.append((name, "ABC"[number % 3], 1 + number // 3))
    columns = ["video", "start_s", "end_s", "phase", "split"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "ours/phases.csv", index=False)
    columns = ["video", "surgeon", "experience"]
    pd.DataFrame(details, columns=columns).to_csv(folder / "ours/videos.csv", index=False)
    write_folder(folder / "images", (("Training", 6), ("val", 2), ("Testing", 3)))
    return folder


# The published networks, and small ones in their place.
TINY = "shufflenet_v2_x0_5"
SMALL = {"resnet50": TINY, "densenet121": TINY, "pixels": "pixels"}


def make_tiny():
    """Networks, images and trainings of params.yaml as small as they get."""
    params = yaml.safe_load(PARAMS.read_text())
    of_images = params["task"]["kind"] == "images"
    params["data"]["root"] = "images" if of_images else "ours"
    params["frames"] |= {"short_side": 32}
    own = params["backbone"]
    name = own["name"]
    own["name"] = [SMALL[n] for n in name] if isinstance(name, list) else SMALL[name]
    own["weights"] = "random"
    params["features"]["crop"] = own["crop"] = 32
    own["finetune"] |= {"epochs": 2, "unfreeze_epoch": 2, "batch": 16}
    if own["finetune"]["context"] is not None:
        own["finetune"]["context"] |= {"frames": 4, "hidden": 16}
    params["model"] |= {"hidden": 16}
    params["train"]["epochs"] = 2
    for phase in params["train"]["phases"].values():
        phase["epochs"] = 1
    params["evaluate"]["bootstrap"] = 20
    params["runtime"] |= {"device": "cpu", "threads": 1, "workers": 1, "progress": "none"}
    PARAMS.write_text(yaml.safe_dump(params))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet50_lstm", "rnn, epoch"),
        ("skill", "3 members"),
        ("row_bilstm", "row_bilstm, epoch"),
    ],
)
def test_fine_tuned_video_and_image_recipes_run_to_the_report(videos, monkeypatch, name, said):
    monkeypatch.chdir(videos)
    monkeypatch.setenv("DVC_ROOT", os.fspath(videos))
    for folder in ("reports", "models", "features", "data"):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copy(ROOT / PARAMS, PARAMS)
    use_recipe(name, RECIPES)
    make_tiny()
    for room in (index, frames, backbone, features):
        room.run()
    assert said in train.run()
    assert "ccuracy" in evaluate.run()
    metrics = leaves(yaml.safe_load(Path("reports/metrics.json").read_text()))
    assert np.isfinite(list(metrics.values())).all()
    assert Path("reports/index.html").is_file()
