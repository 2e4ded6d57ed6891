"""The page as a reader has it: opened in a browser, moved over, on a phone, with 40 videos."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from browser import document, keyed_texts

from pipeline.drawing.svg_ribbons import ribbon_of, worst_first
from pipeline.evaluate import stage
from pipeline.evaluate.page import _script_data, write_page
from pipeline.scored_video import ScoredVideo


@pytest.fixture
def report(evaluated):
    return evaluated / "reports/index.html"


def profile(folder):
    path = folder / "profile"
    path.mkdir()
    return path


def shown(value, key):
    """A value as the page writes it, without its unit."""
    if value is None:
        return "-"
    name = key.rpartition(".")[2]
    if name in ("videos", "frames", "transitions"):
        return str(value)
    if name == "median_s":
        return f"{value:.1f} s"
    if "over_segmentation" in key:
        return f"{value:.2f}"
    return f"{value:.3f}" if name == "macro" else f"{100 * value:.1f}"


def test_the_browser_shows_the_values_of_details_json_and_no_error(report, tmp_path):
    html, console = document(report, profile(tmp_path))
    assert console == ""
    details = json.loads((report.parent / "details.json").read_text())
    texts = keyed_texts(html)
    assert len(texts) > 40
    for key, text in texts.items():
        value = details
        for part in key.split("."):
            value = value[part]
        # "71.2 ± 3.4 %": the figure stands first.
        assert text.split(" ±")[0].removesuffix(" %") == shown(value, key), key


def test_pointer_and_keyboard_read_a_ribbon_out(report, tmp_path):
    script = """
      const band = document.querySelector('[data-video="b"] .band');
      const output = document.querySelector('[data-video="b"] output');
      const bars = band.querySelector('.bars'), box = bars.getBoundingClientRect();
      const said = [];
      const clientX = box.left + box.width * 15.5 / 41;
      bars.dispatchEvent(new PointerEvent('pointermove', {clientX}));
      said.push(output.textContent);
      for (const key of ['ArrowRight', 'Home', 'ArrowLeft', 'End']) {
        band.dispatchEvent(new KeyboardEvent('keydown', {key}));
        said.push(output.textContent);
      }
      document.title = JSON.stringify(said);
    """
    html, console = document(report, profile(tmp_path), script)
    assert console == ""
    said = json.loads(re.search(r"<title>(.*?)</title>", html, re.S).group(1))
    assert [text.split(" · ")[:2] for text in said] == [
        ["0:15", "truth 2 CalotTriangleDissection"],
        ["0:16", "truth 2 CalotTriangleDissection"],
        ["0:00", "truth 1 Preparation"],
        ["0:00", "truth 1 Preparation"],
        ["0:40", "truth unlabelled"],
    ]
    table = (report.parent / "predictions/b.csv").read_text().splitlines()
    row = dict(zip(table[0].split(","), table[16].split(","), strict=True))
    confidence = max(float(v) for k, v in row.items() if k.startswith("p_"))
    assert row["prediction"] in said[0]
    assert said[0].endswith(f"confidence {round(100 * confidence)} %")


def test_every_ribbon_is_reached_by_the_keyboard(report, tmp_path):
    script = """document.title = [...document.querySelectorAll('.band')]
      .map((band) => { band.focus(); return document.activeElement === band; }).join()"""
    html, _ = document(report, profile(tmp_path), script)
    assert "<title>true,true</title>" in html


def test_nothing_sticks_out_at_the_width_of_a_phone(report, tmp_path):
    framed = tmp_path / "framed.html"
    framed.write_text(
        f'<title>wait</title><body><iframe src="{report.as_uri()}" width="360" height="900">'
        "</iframe></body>"
    )
    script = """document.querySelector('iframe').onload = (event) => {
      const root = event.target.contentDocument.documentElement;
      document.title = root.scrollWidth + ' of ' + root.clientWidth;
    };"""
    html, _ = document(framed, profile(tmp_path), script)
    wide, window = re.search(r"<title>(\d+) of (\d+)</title>", html).groups()
    assert int(wide) <= int(window) <= 360


def test_forty_videos_of_an_hour_stay_below_two_megabytes(project, monkeypatch, tmp_path):
    """With the flicker of a model without memory: 400 runs in every video."""
    pages = []
    monkeypatch.setattr(stage, "write_page", lambda page, path: pages.append((page, path)))
    stage.run()
    generator = np.random.default_rng(0)
    ribbons = []
    for name in range(40):
        truth = np.repeat(np.arange(7), 3600 // 7)
        prediction = np.repeat(generator.integers(0, 7, 401), 9)[: len(truth)]
        probabilities = generator.dirichlet(np.ones(7), len(truth))
        scored = ScoredVideo(truth, prediction, probabilities)
        ribbons.append(ribbon_of(f"video{name}", scored, 1.0, 7))
    path = tmp_path / "large.html"
    write_page(replace(pages[0][0], ribbons=worst_first(ribbons)), path)
    assert path.stat().st_size < 2e6


def test_a_phase_name_cannot_end_the_script():
    text = _script_data({"phases": ["</script><b>"]})
    assert "</script" not in text and json.loads(text)["phases"] == ["</script><b>"]
