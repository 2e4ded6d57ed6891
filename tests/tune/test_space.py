"""What a space may hold, how its values reach DVC, and what params.yaml takes of it."""

from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from pipeline.errors import PipelineError
from pipeline.settings import read_params
from pipeline.tune.check import check_space
from pipeline.tune.space import draw, read_space, written

ROOT = Path(__file__).parents[2]


def space_of(folder, text):
    path = folder / "space.yaml"
    path.write_text(text)
    return read_space(path)


class Lowest:
    """A trial that takes the first choice and the lower end of every range."""

    def suggest_categorical(self, _, choices):
        return choices[0]

    def suggest_int(self, _, low, high, step, log):
        return low

    def suggest_float(self, _, low, high, log):
        return low


@pytest.mark.parametrize(
    "value",
    [
        *(3, 0.25, 1e-5, True, None, "gru", "IMAGENET1K_V2", "a/b.pth", "timm/vit_tiny.x"),
        *(
            "two words",
            "it's",
            "a, b",
            "true",
            "null",
            "1e3",
            "7",
            "",
            "x=y",
            r"back\slash",
            r"\d'",
            "end\\",
        ),
        *([1, 2], ["resnet50", "a b"], {"frames": 4, "stride_s": 0.5}, {"a": {"lr": 0.1}}, []),
    ],
)
def test_a_value_arrives_in_params_yaml_as_it_was_written(value, tmp_path):
    """DVC's own reading of `-S` is the judge."""
    params = tmp_path / "params.yaml"
    params.write_text("a:\n  b: null\n")
    apply_overrides(str(params), [f"a.b={written(value)}"])
    found = read_params(params)["a"]["b"]
    if value == 1e-5:  # DVC writes a text, which the sections turn into a number
        found = float(found)
    assert found == value and type(found) is type(value)


def test_a_key_under_a_condition_is_drawn_only_where_that_holds(tmp_path):
    text = "model.kind: [{}]\nmodel.rnn: {{choice: [gru], when: {{model.kind: rnn}}}}\n"
    text += "model.hidden: {{low: 8, high: 64, step: 8, when: {{model.rnn: [gru]}}}}\n"
    chosen = draw(Lowest(), space_of(tmp_path, text.format("rnn, tecno")))
    assert chosen == {"model.kind": "rnn", "model.rnn": "gru", "model.hidden": "8"}
    assert draw(Lowest(), space_of(tmp_path, text.format("tecno, rnn"))) == {"model.kind": "tecno"}


def test_a_float_is_rounded_but_never_out_of_its_range(tmp_path):
    (lr,) = space_of(tmp_path, "train.lr: {low: 1.23444e-4, high: 1e-2, log: true}")
    assert float(lr.drawn(Lowest())) == 1.23444e-4
    trial = Lowest()
    trial.suggest_float = lambda *_, **__: 0.00123456
    assert lr.drawn(trial) == "0.001235"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected keys with their values"),
        ("train.lr: 3", r"train\.lr: found 3\. Allowed: \[a, b, c\]"),
        ("train.lr: {low: 1.0}", "high is missing"),
        ("train.lr: {low: 1.0, high: 0.5}", "low must be below high"),
        ("train.lr: {low: 0.0, high: 0.5, log: true}", "log: true needs low above 0"),
        ("train.lr: {low: 0.0, high: 0.5, step: 1}", "between whole numbers"),
        ("train.lr: {low: 0.1, hihg: 0.5}", "hihg: unknown. Allowed: low, high"),
        ("train.lr: {low: a, high: 0.5}", "low: found 'a'"),
        ("model.rnn: [gru, gru]", "each value once"),
        ("model.rnn: {choice: [gru], log: true}", "only `when` may stand"),
        ("model.rnn: {choice: [gru], when: {model.kind: rnn}}", "model.kind is no choice"),
        (
            "model.kind: [rnn]\nmodel.rnn: {choice: [gru], when: {model.kind: rmm}}",
            "found rmm. Allowed: rnn",
        ),
    ],
)
def test_a_line_that_is_neither_choice_nor_range_is_named(text, message, tmp_path):
    with pytest.raises(PipelineError, match=message):
        space_of(tmp_path, text)


def test_a_space_that_is_no_text_is_named(tmp_path):
    (tmp_path / "space.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(PipelineError, match=r"space\.yaml: not valid YAML"):
        read_space(tmp_path / "space.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.hiden: [8]", r"no such key\. Did you mean `model\.hidden`"),
        ("evaluate.relaxed_seconds: [5, 10]", "how trials are scored, so it is not searched"),
        ("runtime.workers: [0, 2]", "never changes a result"),
        ("model.tecno.maps: [8, 16]", "only model.kind: tecno reads it, but the trials have rnn"),
        (
            "model.kind: [rnn, tecno]\nmodel.hidden: [8, 16]",
            r"write `when: \{model.kind: rnn\}` here",
        ),
        ("model.hidden: [0, 8]", r"space\.yaml: model\.hidden: found 0\."),
        ("train.optimizer: [adamw, sdg]", r"train\.optimizer: found 'sdg'"),
        ("train.lr: {low: -1.0, high: 1.0}", r"train\.lr: found -1\.0"),
        ("model.kind: [rnn, tcn]", r"model\.kind: found 'tcn'"),
    ],
)
def test_what_params_yaml_does_not_take_is_named_before_any_trial(text, message, tmp_path):
    with pytest.raises(PipelineError, match=message):
        check_space(space_of(tmp_path, text), tmp_path / "space.yaml", ROOT / "params.yaml")


def test_a_space_that_params_yaml_takes_passes(tmp_path):
    text = (
        "model.kind: [rnn, tecno]\n"
        "model.hidden: {low: 8, high: 64, when: {model.kind: rnn}}\n"
        "model.tecno.maps: {choice: [8, 16], when: {model.kind: tecno}}\n"
        "train.lr: {low: 1e-4, high: 1e-2, log: true}\n"
        "backbone.clip: [null]\n"
    )
    check_space(space_of(tmp_path, text), tmp_path / "space.yaml", ROOT / "params.yaml")
