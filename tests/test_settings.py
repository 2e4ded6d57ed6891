from pathlib import Path
from typing import Literal, Self

import pytest
from pydantic import model_validator

from pipeline.errors import PipelineError
from pipeline.settings import Number, Section, read_section, read_value


class Inner(Section):
    stages: int = 2


class Model(Section):
    rnn: Literal["lstm", "gru"] = "lstm"
    lr: Number = 1e-4
    layers: int = 2
    tecno: Inner = Inner()


def params(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text)
    return path


def test_a_small_rate_as_dvc_writes_it_back_is_a_number(tmp_path):
    path = params(tmp_path, "model:\n  lr: 1e-05\n")
    assert read_section(Model, "model", path).lr == 1e-5


def test_an_unknown_key_is_named_with_the_likely_one(tmp_path):
    path = params(tmp_path, "model:\n  layer: 3\n")
    with pytest.raises(PipelineError, match=r"model\.layer: unknown key\. Did you mean `layers`"):
        read_section(Model, "model", path)


def test_an_unknown_nested_key_is_named_by_its_path(tmp_path):
    path = params(tmp_path, "model:\n  tecno: {stage: 3}\n")
    with pytest.raises(PipelineError, match=r"model\.tecno\.stage: unknown key.*`stages`"):
        read_section(Model, "model", path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("layers: two", r"model\.layers: found 'two'"),
        ("layers: 2.5", r"model\.layers: found 2\.5"),
        ("layers: true", r"model\.layers: found True"),
        ("lr: fast", r"model\.lr: found 'fast'"),
        ("rnn: elman", r"model\.rnn: found 'elman'.*'lstm' or 'gru'"),
    ],
)
def test_a_mistyped_value_is_named_with_what_is_allowed(tmp_path, line, message):
    with pytest.raises(PipelineError, match=message):
        read_section(Model, "model", params(tmp_path, f"model:\n  {line}\n"))


def test_all_mistakes_are_listed_at_once(tmp_path):
    path = params(tmp_path, "model:\n  layers: two\n  rnn: elman\n  speed: 1\n")
    with pytest.raises(PipelineError) as error:
        read_section(Model, "model", path)
    assert len(str(error.value).splitlines()) == 3


def test_a_missing_file_section_or_value_is_named(tmp_path):
    with pytest.raises(PipelineError, match="not found"):
        read_section(Model, "model", tmp_path / "params.yaml")
    path = params(tmp_path, "seed: x\n")
    with pytest.raises(PipelineError, match="section `model:` is missing"):
        read_section(Model, "model", path)
    with pytest.raises(PipelineError, match="seed: found 'x', allowed: int"):
        read_value("seed", int, path)
    with pytest.raises(PipelineError, match=r"`data\.root` is missing"):
        read_value("data.root", str, path)


def test_broken_yaml_is_named_with_its_line(tmp_path):
    with pytest.raises(PipelineError, match="line 2"):
        read_section(Model, "model", params(tmp_path, "model:\n  lr: [1\n"))


def test_keys_that_do_not_go_together_are_named_without_the_rest_of_their_section(tmp_path):
    class Range(Section):
        first: int = 1
        last: int = 2

        @model_validator(mode="after")
        def _rises(self) -> Self:
            if self.last < self.first:
                raise ValueError("first is beyond last. Lower first")
            return self

    class Whole(Section):
        range: Range = Range()

    path = params(tmp_path, "part:\n  range: {first: 3}\n")
    with pytest.raises(PipelineError, match=r"part\.range: first is beyond last\. Lower first\.$"):
        read_section(Whole, "part", path)
