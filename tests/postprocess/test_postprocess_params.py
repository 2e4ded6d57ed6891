"""The section beside the others of params.yaml, and the videos that it does not fit."""

import dataclasses
from pathlib import Path

import planted
import pytest
import yaml

from pipeline.all_params import AllParams
from pipeline.errors import PipelineError
from pipeline.postprocess.params import PostprocessParams, read_postprocess
from pipeline.sequences import VideoTarget
from pipeline.settings import read_params
from pipeline.train.postfit import check_postprocess

PARAMS = Path(__file__).parents[2] / "params.yaml"


def test_params_yaml_shows_every_key_with_its_default_and_older_ones_do_without():
    shown = read_params(PARAMS)
    assert shown.pop("postprocess") == PostprocessParams().model_dump()
    assert AllParams.model_validate(shown).postprocess == PostprocessParams()


def test_a_parameter_file_without_the_section_does_nothing(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("seed: 1\n")
    assert not read_postprocess(path).is_on
    path.write_text("postprocess:\n")
    assert not read_postprocess(path).is_on


@pytest.mark.parametrize(
    "values",
    [{"temperature": True}, {"kind": "viterbi"}, {"kind": "median", "seconds": 3}],
)
def test_a_split_without_validation_is_refused_where_something_is_fitted_to_it(values):
    params = yaml.safe_load(PARAMS.read_text())
    params["split"]["scheme"] = "cholec80-40-40"
    params["train"]["early_stop"] = 0
    params["postprocess"] = values
    if "seconds" in values:
        AllParams.model_validate(params)
    else:
        with pytest.raises(ValueError, match=r"which is fitted to them\. Give it some, or set"):
            AllParams.model_validate(params)


def test_videos_of_one_class_are_refused():
    videos = [
        dataclasses.replace(video, target=VideoTarget(number))
        for number, video in enumerate(planted.videos(2))
    ]
    check_postprocess(PostprocessParams(), videos, videos)
    with pytest.raises(PipelineError, match=r"a video has one class\. Set postprocess\.kind: none"):
        check_postprocess(PostprocessParams(kind="median"), videos, videos)
