"""Results in order, their significance against SciPy, and signs that LaTeX would trip over."""

import re

import numpy as np
import pytest
from scipy import stats

from pipeline.compare.comparison import measured_of
from pipeline.compare.reports import ReportToCompare
from pipeline.errors import PipelineError
from pipeline.leaderboard.board import make_board
from pipeline.leaderboard.picture import cost_picture
from pipeline.leaderboard.results import Result
from pipeline.leaderboard.significance import holm, swap_test
from pipeline.leaderboard.wording import as_html, as_latex, as_markdown, as_text, latex
from pipeline.metrics.frame import accuracies
from pipeline.networks.cost import Cost
from pipeline.phases import CHOLEC80
from pipeline.prediction_files import PredictedVideo
from pipeline.scored_video import ScoredVideo

ACCURACY = "frame.accuracy.mean"
MACRO_F1 = "frame.f1.per_phase_mean"
CHEAP = Cost(10, 1000)
TRUTH = np.repeat([0, 1, 2], 40)


def result(name, errors, kind="rnn", truth=TRUTH, seed=0, cost=CHEAP):
    """A result that has so many wrong frames in each video."""
    videos = {}
    for i, wrong in enumerate(errors):
        prediction = truth.copy()
        places = np.random.default_rng([seed, i]).permutation(len(truth))[:wrong]
        prediction[places] = (prediction[places] + 1) % 3
        scored = ScoredVideo(truth, prediction, None)
        videos[f"v{i:02}"] = PredictedVideo(np.arange(len(truth)) * 1.0, CHOLEC80, scored)
    parameters = {"model.kind": kind, "backbone.name": "resnet_50"}
    report = ReportToCompare(name, 1.0, 10.0, videos, parameters)
    validation = {"frame": {"accuracy": {"mean": 0.5}, "f1": {"per_phase_mean": 0.25}}}
    return Result(report, (), validation, Cost(1, 10**9), cost)


def test_the_best_result_comes_first_with_its_values():
    errors = {"worst": 60, "best": 6, "middle": 30}
    board = make_board([result(name, [n] * 8) for name, n in errors.items()], ACCURACY)
    assert [row.name for row in board.rows] == ["best", "middle", "worst"]
    assert [m.key for m in board.metrics][:2] == [ACCURACY, MACRO_F1]
    assert [row.figures[ACCURACY].value for row in board.rows] == pytest.approx([0.95, 0.75, 0.5])
    assert np.isnan(board.rows[0].p)
    # All eight videos agree: of 256 swaps the observed one and its mirror are as large.
    assert [row.p for row in board.rows[1:]] == pytest.approx([2 * 2 / 256] * 2)


@pytest.mark.parametrize("num_videos", [7, 20])
def test_the_swap_test_is_scipys_paired_permutation_test_where_that_applies(num_videos):
    generator = np.random.default_rng(3)
    a = measured_of(result("a", generator.integers(10, 50, num_videos), seed=1).report)
    b = measured_of(result("b", generator.integers(5, 45, num_videos), seed=2).report)
    means = accuracies(a.scored.matrices), accuracies(b.scored.matrices)
    expected = stats.permutation_test(
        means,
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=np.random.default_rng(0),
    ).pvalue
    exact = num_videos == 7
    assert swap_test(a, b, ACCURACY) == pytest.approx(expected, abs=1e-9 if exact else 0.02)
    assert swap_test(b, a, ACCURACY) == pytest.approx(swap_test(a, b, ACCURACY))


def test_the_swap_test_computes_macro_f1_anew_after_each_swap():
    """Against swapping the predictions themselves."""
    a, b = (
        result(n, e, seed=s).report for n, e, s in (("a", [40, 9, 30, 25], 1), ("b", [20] * 4, 2))
    )
    names = sorted(a.videos)

    def macro_f1(chosen):
        videos = {n: (a, b)[c].videos[n] for n, c in zip(names, chosen, strict=True)}
        report = ReportToCompare("x", 1.0, 10.0, videos, {})
        return measured_of(report).figures(np.ones((1, len(names))))[MACRO_F1][0]

    swaps = [[int(bit) for bit in f"{n:04b}"] for n in range(16)]
    differences = [macro_f1(s) - macro_f1([1 - c for c in s]) for s in swaps]
    expected = np.mean(np.abs(differences) >= abs(differences[0]) - 1e-12)
    assert swap_test(measured_of(a), measured_of(b), MACRO_F1) == pytest.approx(expected)


def test_equal_results_differ_by_nothing():
    a = measured_of(result("a", [10, 20, 30]).report)
    assert swap_test(a, a, ACCURACY) == 1


def test_holms_correction_is_that_of_r():
    # p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    found = holm([0.6, float("nan"), 0.9])
    assert found[0] == 1 and np.isnan(found[1]) and found[2] == 1
    assert holm([]) == []


def test_other_videos_or_labels_stand_apart_with_the_reason():
    other_labels = result("relabelled", [3] * 4, truth=np.roll(TRUTH, 5))
    found = [result("a", [9] * 4), result("fewer", [3] * 3), other_labels, result("b", [6] * 4)]
    board = make_board(found, ACCURACY)
    assert [row.name for row in board.rows] == ["b", "a"]
    assert [name for name, _ in board.apart] == ["fewer", "relabelled"]
    assert "has no prediction of v03" in board.apart[0][1]
    assert "true labels of v00, v01" in board.apart[1][1]
    text = as_text(board)
    assert "Not in the table:\nfewer: " in text
    assert "no lead can be clear here" in text  # four videos


def test_a_metric_that_is_not_there_is_refused():
    with pytest.raises(PipelineError, match=r"--metric: found frame\.acc\. Allowed: .*accuracy"):
        make_board([result("a", [9] * 4)], "frame.acc")


@pytest.fixture
def board():
    found = [
        result("50%_of&all", [9] * 8, kind="mstcn|++"),
        result("<b>x</b>", [19] * 8, kind="tecno", cost=Cost(10, 50_000)),
    ]
    return make_board(found, MACRO_F1)


def test_latex_gets_no_sign_that_it_would_act_on(board):
    text = as_latex(board)
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 3 and "50\\%\\_of\\&all" in rows[1]
    columns = len(re.findall(r"(?<!\\)&", rows[0]))
    for line in rows:
        assert len(re.findall(r"(?<!\\)&", line)) == columns
        assert not re.search(r"(?<!\\)[%#$_^~]", line)
    assert text.startswith(f"\\begin{{tabular}}{{l{'r' * columns}}}")
    assert all(line.startswith("%") for line in text.split("\\end{tabular}\n")[1].splitlines())
    assert latex(r"a\b{c}~^") == r"a\textbackslash{}b\{c\}\textasciitilde{}\textasciicircum{}"


def test_markdown_and_html_keep_their_columns(board, tmp_path):
    head, rule, *rows = as_markdown(board).split("\n\n")[0].splitlines()
    assert len(rows) == 2
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in (head, rule, *rows)} == {
        head.count("|")
    }
    assert cost_picture(tmp_path / "cost.png", board)
    page = as_html(board, tmp_path / "cost.png")
    assert "&lt;b&gt;x&lt;/b&gt;" in page and "<b>" not in page
    assert page.count("<tr>") == 3 and "data:image/png;base64," in page


def test_without_two_known_costs_there_is_no_picture(tmp_path):
    board = make_board([result("a", [9] * 3), result("b", [9] * 3, cost=None)], ACCURACY)
    assert not cost_picture(tmp_path / "cost.png", board)
