"""The page in a browser, with a real operation: it plays, is corrected, and gives labels back."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from devtools import Page

from pipeline.index import stage
from pipeline.phases import CHOLEC80
from pipeline.tables import read_labels
from pipeline.view.page import View, write_view

T = 32  # the clip lasts 32 s
PREDICTION = np.repeat([0, 1, 2, 1, -1, 3], [8, 8, 2, 8, 2, 4])


def view_of(video, prediction=PREDICTION):
    length = len(prediction)
    shares = np.full((length, 7), 0.05)
    shares[np.arange(length), np.maximum(prediction, 0)] = 0.7
    truth = np.repeat([0, 1], [length // 3, length - length // 3])
    return View(video, 1.0, np.arange(float(length)), CHOLEC80, prediction, shares, truth)


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    return tmp_path_factory.mktemp("profile")


@pytest.fixture(scope="module")
def tab(profile):
    with Page(profile) as page:
        yield page


@pytest.fixture
def opened(tab, shared_data, tmp_path):
    """The page of a clip that lies in another folder, in a browser that keeps nothing of it."""
    write_view(view_of(shared_data / "clips/VID18_166.mp4"), tmp_path / "clip.html")
    tab.errors.clear()
    tab.open(tmp_path / "clip.html")
    tab.wait("video.readyState > 1")
    yield tab
    tab.value("localStorage.clear()")
    assert tab.errors == []


def spot(tab, time, row):
    """Where a time lies on a row of the ribbons, in the window."""
    tab.value("bars.scrollIntoView({block: 'center'})")
    return tuple(
        tab.value(
            f"(() => {{ const b = bars.getBoundingClientRect(); const r = ribbons.rows.find("
            f"(r) => r.name === '{row}'); return [b.left + ribbons.x({time}), "
            "b.top + r.top + r.height / 2]; })()"
        )
    )


def corrected(tab):
    found = tab.value("corrections.segments.map((s) => [s.start, s.end, s.phase])")
    return [tuple(segment) for segment in found]


def text(tab, element):
    return tab.value(f"document.getElementById('{element}').textContent")


def test_it_plays_and_says_what_is_shown(opened):
    opened.key(" ")
    opened.wait("!video.paused && video.currentTime > 0.2")
    opened.key(" ")
    opened.wait("video.paused")
    opened.drag(*[spot(opened, 17.5, "prediction")] * 2)
    opened.wait("!video.seeking && Math.abs(video.currentTime - 17.5) < 0.1")
    assert text(opened, "name") == "ClippingCutting"
    assert text(opened, "elapsed") == "0:01" and text(opened, "of") == "of 0:02"
    assert text(opened, "sum0") == "0:08" and text(opened, "sum2") == "0:01"
    assert re.search(r"truth 2 \w+ · prediction 3 \w+ · confidence 70 %", text(opened, "reading"))
    opened.drag(*[spot(opened, 27, "truth")] * 2)
    assert text(opened, "name") == "unlabelled"


def test_keys_seek(opened):
    found = []
    for key, modifiers in (("ArrowRight", 0), ("ArrowRight", 8), ("ArrowLeft", 0), ("End", 0)):
        opened.key(key, modifiers)
        found.append(opened.value("now"))
    opened.key("Home")
    assert found == [1, 11, 10, 32] and opened.value("now") == 0
    opened.wait("!video.seeking && video.currentTime === 0")


def test_a_click_on_a_segment_of_the_list_seeks_and_selects_it(opened):
    opened.click("#segments li:nth-child(4) button")
    assert opened.value("[now, selected].join()") == "18,3"
    assert text(opened, "chosen").startswith("Segment 4 of 6, 0:18 ")
    assert opened.value("document.querySelector('[aria-pressed=true] b').textContent").endswith(
        "CalotTriangleDissection"
    )


def test_a_boundary_is_dragged_and_edits_are_undone_and_done_again(opened):
    before = corrected(opened)
    opened.drag(spot(opened, 8, "corrected"), spot(opened, 10.5, "corrected"))
    after = corrected(opened)
    assert after[0][1] == after[1][0] == pytest.approx(10.5, abs=0.1)
    assert after[1:] == [(after[0][1], 16, 1), *before[2:]]
    # The picture at the boundary is shown, and what begins there is selected.
    assert opened.value("now") == after[0][1] and opened.value("selected") == 1
    # Further than the segment behind it: that one is swallowed.
    opened.drag(spot(opened, 16, "corrected"), spot(opened, 19, "corrected"))
    assert [phase for *_, phase in corrected(opened)] == [0, 1, 1, -1, 3]
    opened.key("z", 2)
    assert corrected(opened) == after
    opened.key("z", 2)
    assert corrected(opened) == before and opened.value("corrections.changed") is False
    opened.key("y", 2)
    assert corrected(opened) == after


def test_everything_is_corrected_by_keys_alone(opened):
    for key in ("ArrowDown", "ArrowDown", "2"):  # the third segment becomes phase 2
        opened.key(key)
    assert corrected(opened) == [(0, 8, 0), (8, 26, 1), (26, 28, -1), (28, 32, 3)]
    for key in ("ArrowDown", "ArrowLeft", "[", "5"):
        opened.key(key)
    assert corrected(opened)[1:3] == [(8, 25, 1), (25, 28, 4)]
    for key in ("ArrowRight", "s", "m"):
        opened.key(key)
    assert corrected(opened)[2:] == [(25, 26, 4), (26, 32, 4)]
    for key in ("u", "Home"):
        opened.key(key)
    assert corrected(opened)[3] == (26, 32, -1)
    visited = set()
    for _ in range(40):
        opened.key("Tab")
        visited.add(opened.value("document.activeElement.id"))
    assert {"video", "bars", "phase", "split", "export", "closer"} <= visited
    unnamed = (
        "[...document.querySelectorAll('button')].filter((b) => !(b.ariaLabel || b.innerText))"
    )
    assert opened.value(f"{unnamed}.length") == 0


def test_corrections_outlive_a_visit_and_the_index_reads_what_is_exported(
    opened, profile, shared_data, workplace
):
    opened.key("ArrowDown")
    opened.value("choice.value = 5, choice.dispatchEvent(new Event('change'))")
    edited = corrected(opened)
    assert edited[1] == (8, 16, 5)
    opened.open(workplace / "clip.html")
    opened.wait("video.readyState > 0")
    assert corrected(opened) == edited
    assert text(opened, "status").startswith("Your corrections of an earlier visit")
    opened.value("byId('split').value = 'train'")
    opened.click("#export")
    exported = profile / "VID18_166_labels.csv"
    for _ in range(100):
        if exported.is_file():
            break
        opened.value("new Promise((done) => setTimeout(done, 50))")
    root = workplace / "ours"
    root.mkdir()
    for name in ("VID18_166", "VID25_324"):
        (root / f"{name}.mp4").symlink_to(shared_data / f"clips/{name}.mp4")
    rows = exported.read_text() + "VID25_324,0,32,Preparation,test\n"
    (root / "phases.csv").write_text(rows)
    (workplace / "params.yaml").write_text(
        "seed: 1\ndata: {root: ours, layout: csv}\nsplit: {scheme: column}\n"
        "train: {early_stop: 0}\nruntime: {progress: none}\n"
    )
    stage.run()
    labels = read_labels()
    read = labels[labels["video"] == "VID18_166"][["start_s", "end_s", "phase"]]
    expected = [(s, e, CHOLEC80[p]) for s, e, p in edited if p >= 0]
    assert list(read.itertuples(index=False, name=None)) == expected


def test_the_wheel_and_buttons_zoom_and_seeking_keeps_the_place_in_sight(opened):
    opened.wheel(spot(opened, 20, "prediction"), -400)
    opened.wait("ribbons.window[1] - ribbons.window[0] < 16")
    low, high = opened.value("ribbons.window")
    assert low < 20 < high
    assert (20 - low) / (high - low) == pytest.approx(20 / 32, abs=0.01)
    opened.key("Home")
    assert opened.value("ribbons.window[0]") == 0
    opened.click("#whole")
    assert opened.value("ribbons.window") == [0, 32]
    opened.click("#closer")
    assert opened.value("ribbons.window") == [0, 16]


def test_on_a_phone_nothing_sticks_out_and_two_fingers_zoom(shared_data, tmp_path):
    write_view(view_of(shared_data / "clips/VID18_166.mp4"), tmp_path / "clip.html")
    with Page(tmp_path, width=390, height=844, touch=True) as page:
        page.open(tmp_path / "clip.html")
        assert page.value("document.documentElement.scrollWidth") == 390
        x, y = spot(page, 16, "confidence")
        page.touches("touchStart", (x - 20, y), (x + 20, y))
        page.touches("touchMove", (x - 60, y), (x + 60, y))
        page.touches("touchEnd")
        low, high = page.value("ribbons.window")
        assert high - low == pytest.approx(32 / 3, rel=0.1)
        assert low < 16 < high
        assert page.errors == []


def test_a_video_that_browsers_do_not_play_is_said_and_can_still_be_corrected(
    tab, shared_data, tmp_path
):
    write_view(view_of(shared_data / "decode/hevc.mp4"), tmp_path / "hevc.html")
    tab.open(tmp_path / "hevc.html")
    said = tab.value("byId('unplayed').innerText")
    assert said.startswith("Browsers do not play this video: it is coded as")
    assert "hevc.mp4 --transcode" in said
    tab.key("ArrowRight")
    tab.key("s")
    assert corrected(tab)[:2] == [(0, 1, 0), (1, 8, 0)]


def test_four_hours_with_three_hundred_segments_stay_small(tab, shared_data, tmp_path):
    page = tmp_path / "long.html"
    view = view_of(shared_data / "clips/VID18_166.mp4", np.repeat(np.arange(300) % 7, 48))
    times = np.round(np.arange(14_400) * 1.001, 6)  # of a video at 30000/1001
    write_view(replace(view, time_s=times, attention=np.linspace(0, 3, 14_400)), page)
    assert page.stat().st_size < 150_000
    tab.open(page)
    assert tab.value("list.children.length") == 300
    found = np.array(tab.value("Array.from(times)"))
    np.testing.assert_allclose(found[:-1], times, atol=1e-9)
    starts = pd.Series(tab.value("prediction.map((s) => s.start)"))
    np.testing.assert_allclose(starts, times[::48], atol=1e-9)
    # The last sample's weight is the largest, and a byte holds it.
    assert tab.value("rows.find((r) => r.name === 'attention').values.at(-1)") == 255


def test_a_name_cannot_end_the_script(tab, shared_data, tmp_path):
    clip = shared_data / "clips/VID18_166.mp4"
    names = ("</script><b>", 'a "quoted", name', *CHOLEC80[2:])
    write_view(replace(view_of(clip), classes=names, name="<i>"), tmp_path / "odd.html")
    tab.open(tmp_path / "odd.html")
    assert tab.value("[data.phases[0], document.querySelector('h1').textContent].join()") == (
        "</script><b>,<i>"
    )
    table = tab.value("asTable(prediction, 'v', data.phases, '', 30)").splitlines()
    assert table[2] == 'v,8,16,"a ""quoted"", name"'
    assert table[-1] == "v,28,30,GallbladderDissection"  # cut at the end of the video
