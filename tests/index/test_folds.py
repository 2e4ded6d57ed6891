"""Folds of a cross-validation, without videos."""

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from index_project import settings

from pipeline.all_params import AllParams
from pipeline.errors import PipelineError
from pipeline.index.folds import draw_folds
from pipeline.index.layouts.dataset import Dataset
from pipeline.index.params import SplitParams
from pipeline.index.stage import run
from pipeline.settings import check_section
from pipeline.tables import read_folds, read_splits

SURGEONS = {f"v{n:02d}": "ABCDEF"[n % 6] for n in range(20)}
SKILLS = {video: "expert" if n < 8 else "novice" for n, video in enumerate(SURGEONS)}


def dataset(order=tuple(SURGEONS)):
    return Dataset(
        {video: Path(video) for video in order}, columns={"surgeon": SURGEONS, "skill": SKILLS}
    )


def folds(seed=1, data=None, **values):
    return draw_folds(SplitParams(**({"scheme": "kfold"} | values)), data or dataset(), seed)


def in_split(fold, split):
    return {video for video, name in fold.items() if name == split}


GROUPED = [
    {"folds": 3, "group": "surgeon"},
    {"folds": 2, "group": "surgeon", "stratify": "skill"},
    {"scheme": "leave_one_group_out", "group": "surgeon"},
]
ALL = [{}, {"folds": 4, "stratify": "skill"}, *GROUPED]


@pytest.mark.parametrize("values", ALL)
def test_each_video_is_tested_once_and_has_a_split_in_every_fold(values):
    found = folds(**values)
    tested = Counter(video for fold in found for video in in_split(fold, "test"))
    assert tested == Counter(list(SURGEONS))
    for fold in found:
        assert sorted(fold) == sorted(SURGEONS)
        assert set(fold.values()) == {"train", "val", "test"}


@pytest.mark.parametrize("values", GROUPED)
def test_videos_of_a_group_are_never_on_both_sides(values):
    for fold in folds(**values):
        sides = {}
        for video, split in fold.items():
            sides.setdefault(SURGEONS[video], set()).add(split)
        assert all(len(splits) == 1 for splits in sides.values())


def test_each_group_is_left_out_once():
    left_out = [
        {SURGEONS[video] for video in in_split(fold, "test")}
        for fold in folds(scheme="leave_one_group_out", group="surgeon")
    ]
    assert sorted(map(sorted, left_out)) == [[name] for name in "ABCDEF"]


def test_a_stratified_fold_holds_as_many_of_each_value_as_the_others():
    for fold in folds(folds=4, stratify="skill"):
        assert Counter(SKILLS[v] for v in in_split(fold, "test")) == {"expert": 2, "novice": 3}


@pytest.mark.parametrize("values", ALL)
def test_folds_depend_on_the_seed_and_not_on_the_order_of_the_videos(values):
    backwards = dataset(tuple(reversed(SURGEONS)))
    assert folds(**values) == folds(data=backwards, **values)
    assert folds(**values) != folds(seed=2, **values)


def test_validation_takes_its_share_of_what_is_left():
    assert {len(in_split(fold, "val")) for fold in folds(val_share=0.25)} == {4}
    assert {len(in_split(fold, "val")) for fold in folds(val_share=0)} == {0}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"folds": 30}, r"split\.folds: found 30, but there are 20 videos\. Allowed: 2 to 20"),
        ({"folds": 7, "group": "surgeon"}, r"found 7, but there are 6 values of surgeon"),
        ({"group": "hospital"}, r"split\.group: found hospital\. Allowed: .*: surgeon, skill"),
        ({"folds": 15, "stratify": "skill"}, r"no value of skill is that of 15 videos"),
        (
            {"scheme": "leave_one_group_out", "group": "surgeon", "fold": 7},
            r"split\.fold: found 7, but surgeon has 6 values\. Allowed: null, 1 to 6",
        ),
        (
            {"scheme": "leave_one_group_out", "group": "skill"},
            r"fold 1 leaves nothing to train on: 1 of 2 values of skill",
        ),
    ],
)
def test_folds_that_cannot_be_made_are_refused(values, message):
    with pytest.raises(PipelineError, match=message):
        folds(**values)


def test_a_video_without_a_group_is_named():
    data = dataset()
    data.columns["surgeon"] = SURGEONS | {"v03": ""}
    with pytest.raises(PipelineError, match=r"split\.group: surgeon has no value for v03\."):
        folds(data=data, group="surgeon")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scheme": "random", "group": "surgeon"}, "group is surgeon, but split.scheme random"),
        ({"scheme": "leave_one_group_out"}, "leave_one_group_out needs split.group"),
        ({"scheme": "kfold", "folds": 3, "fold": 4}, "fold is 4, but split.folds is 3"),
        ({"scheme": "kfold", "folds": 1}, "greater than or equal to 2"),
    ],
)
def test_parameters_that_do_not_fit_the_scheme_are_refused(values, message):
    with pytest.raises(PipelineError, match=message):
        check_section(SplitParams, "split", values)


@pytest.mark.parametrize(
    "learns", [{"backbone": {"mode": "finetune"}}, {"features": {"precision": "int8"}}]
)
@pytest.mark.parametrize("fold", [None, 1])
def test_what_learns_from_videos_may_be_run_for_all_folds_at_once(learns, fold):
    params = {
        **{"seed": 1, "data": {"root": "x", "layout": "csv"}},
        **{"split": {"scheme": "kfold", "fold": fold}},
        **{"frames": {}, "backbone": {}, "features": {}, "model": {}, "train": {}},
        **{"evaluate": {}, "runtime": {}},
    } | learns
    check_section(AllParams, "", params)


def test_the_index_holds_all_folds_or_the_one_that_is_asked_for(ours):
    whole = "scheme: kfold, folds: 2, val_share: 0"
    settings(split=whole)
    assert "2 videos in 2 folds: 1 train, 0 val, 1 test; 1 train" in run()
    assert read_folds() == (1, 2)
    table = pd.read_csv("data/index/splits.csv")
    assert list(table.columns) == ["fold", "video", "split"] and len(table) == 4
    second = read_splits(fold=2)
    settings(split=f"{whole}, fold: 2")
    run()
    assert read_folds() == (None,)
    pd.testing.assert_frame_equal(read_splits(), second)
