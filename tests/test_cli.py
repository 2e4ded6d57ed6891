import subprocess
import sys
import time

import pytest

from pipeline import cli
from pipeline.errors import PipelineError


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_help_lists_every_stage():
    result = run("-m", "pipeline", "--help")
    assert result.returncode == 0
    for name in ("index", "frames", "backbone", "features", "train", "evaluate", "doctor"):
        assert name in result.stdout


def test_help_index_frames_compare_and_score_import_no_torch():
    code = (
        "import sys, pipeline.cli, pipeline.all_params, pipeline.index.stage, "
        "pipeline.frames.stage; sys.exit('torch' in sys.modules)"
    )
    assert run("-c", code).returncode == 0
    code = (
        "import sys, pipeline.compare.reports, pipeline.compare.comparison, "
        "pipeline.score.scoring, pipeline.score.video_labels, pipeline.report.paper_pictures, "
        "pipeline.view.command, pipeline.overlay.command; "
        "sys.exit('torch' in sys.modules)"
    )
    assert run("-c", code).returncode == 0
    code = "import sys, pipeline.cli; sys.exit(bool({'torch', 'pandas'} & set(sys.modules)))"
    assert run("-c", code).returncode == 0


def test_a_mistake_is_printed_without_a_traceback(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["surgphase", "index"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("ERROR: params.yaml: not found.")


def test_a_defect_keeps_its_traceback(monkeypatch):
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_a_mistake_in_a_late_section_stops_the_first_stage(tmp_path, monkeypatch):
    from pathlib import Path

    text = (Path(__file__).parents[1] / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("early_stop:", "early_stopp:"))
    monkeypatch.chdir(tmp_path)
    started = time.monotonic()
    with pytest.raises(PipelineError, match=r"train\.early_stopp.*Did you mean `early_stop`"):
        cli.index()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("scheme: column", "scheme: cholec80-40-40", "no validation videos here, but train"),
        (
            "scheme: column",
            "scheme: lists\n  train: [a]\n  test: [b]",
            "no validation videos here, but train",
        ),
        ("bidirectional: false", "bidirectional: true", "looks into the future needs the whole"),
        ("kind: rnn", "kind: tecno", "is trained on whole videos"),
        ("seed: 1", "sead: 1", r"sead: unknown key\. Did you mean `seed`"),
    ],
)
def test_sections_that_do_not_fit_together_are_named(tmp_path, old, new, message):
    from pathlib import Path

    from pipeline.all_params import check_params

    text = (Path(__file__).parents[1] / "params.yaml").read_text()
    check_params(Path(__file__).parents[1] / "params.yaml")
    text = text.replace(old, new).replace("window: null", "window: 16")
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(PipelineError, match=message):
        check_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"mode: frozen": "mode: adabn", "  crop: null\n  clip": "  crop: 112\n  clip"},
            "alike",
        ),
        (
            {
                "mode: frozen": "mode: finetune",
                "scheme: column": "scheme: cholec80-40-40",
                "early_stop: 20": "early_stop: 0",
            },
            r"backbone\.finetune\.early_stop is 10",
        ),
    ],
)
def test_a_backbone_that_its_neighbours_do_not_fit_is_named(tmp_path, changes, message):
    from pathlib import Path

    from pipeline.all_params import check_params

    text = (Path(__file__).parents[1] / "params.yaml").read_text()
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(PipelineError, match=message):
        check_params(tmp_path / "params.yaml")


def test_the_doctor_says_that_frames_would_be_enlarged_for_the_backbone(tmp_path):
    from pathlib import Path

    from pipeline.all_params import check_params
    from pipeline.doctor import _sizes

    text = (Path(__file__).parents[1] / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("name: resnet50", "name: efficientnet_b5"))
    lines = []
    _sizes(check_params(tmp_path / "params.yaml"), lines.append)
    _sizes(check_params(Path(__file__).parents[1] / "params.yaml"), lines.append)
    assert len(lines) == 1
    assert "frames.short_side is 256, but efficientnet_b5 sees frames of 456 px" in lines[0]


def test_what_the_networks_check_is_remembered_and_a_mistake_is_not(tmp_path, monkeypatch):
    from pathlib import Path

    from pipeline import all_params

    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    text = (Path(__file__).parents[1] / "params.yaml").read_text()
    params = tmp_path / "params.yaml"
    params.write_text(text.replace("hidden: 512", "hiden: 512"))
    for _ in range(2):
        with pytest.raises(PipelineError, match=r"model\.hiden.*Did you mean `hidden`"):
            all_params.check_params(params)
    params.write_text(text)
    all_params.check_params(params)
    monkeypatch.setattr(all_params, "_check_backbone", lambda *_: pytest.fail("checked again"))
    all_params.check_params(params)
    params.write_text(text.replace("hidden: 512", "hidden: 128"))
    all_params.check_params(params)
    monkeypatch.setattr(all_params, "_check_temporal", lambda *_: pytest.fail("checked again"))
    all_params.check_params(params)
