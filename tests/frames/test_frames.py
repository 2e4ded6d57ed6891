import hashlib
import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from videos import number_of, write_video

from pipeline.errors import PipelineError
from pipeline.frame_store import FrameFile
from pipeline.frames import stage
from pipeline.frames.crop import Box, resize_short_side, view_box
from pipeline.frames.sample import Timeline, sampled_frames
from pipeline.tables import write_table

PARAMS = """\
data: {{root: videos}}
frames: {{fps: {fps}, short_side: 64, crop_borders: false, quality: 95, decoder: {decoder},
  on_error: {on_error}}}
runtime: {{device: cpu, workers: {workers}, batch: 1, threads: 0, progress: lines}}
"""
DECODERS = ("decord", "pyav")


def settings(fps="1", decoder="decord", on_error="stop", workers=1):
    text = PARAMS.format(fps=fps, decoder=decoder, on_error=on_error, workers=workers)
    Path("params.yaml").write_text(text)


@pytest.fixture
def project(workplace):
    settings()
    return workplace


def index(paths):
    rows = []
    for path in paths:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append(
            {"video": path.stem, "path": path.name, "sha256": content, "width": 0, "height": 0}
            | {"fps": 0, "frames": 0, "duration_s": 0, "problem": ""}
        )
    write_table(pd.DataFrame(rows), Path("data/index/videos.csv"))


def numbers(path):
    with FrameFile(path) as frames:
        return [number_of(frames.image(i)) for i in range(len(frames))], frames.time_s.tolist()


def hashes(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    ("rate", "fps"), [(25, "1"), (25, "5"), (25, "0.5"), (Fraction(30000, 1001), "3"), (25, "50")]
)
def test_the_frame_shown_at_each_moment_is_taken(project, decoder, rate, fps):
    write_video(project / "videos/v.mp4", 110, rate)
    index([project / "videos/v.mp4"])
    settings(fps=fps, decoder=decoder)
    stage.run()
    found, times = numbers(project / "data/frames/v.h5")
    last = Fraction(109) / rate
    expected = [int(k / Fraction(fps) * rate) for k in range(int(last * Fraction(fps)) + 1)]
    assert found == expected
    shown = [float(n / Fraction(rate)) for n in expected]
    for k in range(1, len(shown)):
        if expected[k] == expected[k - 1]:
            shown[k] = float(k / Fraction(fps))
    np.testing.assert_allclose(times, shown, atol=1e-4)
    assert (np.diff(times) > 0).all()
    with FrameFile(project / "data/frames/v.h5") as frames:
        assert len(frames.frame_time_s) == len(set(expected))


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_variable_rate_is_read_by_presentation_time(project, decoder):
    ticks = np.cumsum(np.random.default_rng(1).integers(1, 9, 120)).tolist()
    write_video(project / "videos/v.mp4", 120, 25, [tick - ticks[0] for tick in ticks])
    index([project / "videos/v.mp4"])
    settings(decoder=decoder)
    stage.run()
    found, times = numbers(project / "data/frames/v.h5")
    shown = (np.array(ticks) - ticks[0]) / 25
    expected = [int(np.flatnonzero(shown <= k + 1e-9)[-1]) for k in range(int(shown[-1]) + 1)]
    assert found == expected
    np.testing.assert_allclose(times, shown[expected], atol=1e-3)


def test_ticks_are_compared_as_whole_numbers():
    rate = Fraction(30000, 1001)
    timeline = Timeline(np.arange(400_000, dtype=np.int64) * 1001, Fraction(1, 30000))
    # At the video's own rate every frame is taken once; floating point misses some.
    taken = sampled_frames(timeline, rate)
    np.testing.assert_array_equal(taken, np.arange(400_000))


def test_damaged_videos_are_listed_after_the_others_were_done(project):
    for name, frames in (("a", 60), ("b", 70)):
        write_video(project / f"videos/{name}.mp4", frames)
    (project / "videos/zero.mp4").touch()
    index(sorted((project / "videos").iterdir()))
    with pytest.raises(PipelineError, match=r"1 of 3 videos cannot.*\n  zero: .*zero bytes") as e:
        stage.run()
    assert "frames.on_error: skip" in str(e.value)
    assert len(list((project / ".store/frames").glob("*.h5"))) == 2
    settings(on_error="skip")
    assert "0 extracted, 1 damaged videos skipped" in stage.run()
    assert (project / "data/frames/skipped.csv").read_text().startswith("video,reason\nzero,")
    assert sorted(p.stem for p in (project / "data/frames").glob("*.h5")) == ["a", "b"]


def test_no_video_left_is_an_error_even_when_skipping(project):
    (project / "videos").mkdir()
    (project / "videos/zero.mp4").touch()
    index([project / "videos/zero.mp4"])
    settings(on_error="skip")
    with pytest.raises(PipelineError, match="No video is left"):
        stage.run()


def test_bytes_do_not_depend_on_workers_and_nothing_is_done_twice(project):
    for number in range(3):
        write_video(project / f"videos/v{number}.mp4", 50 + 10 * number)
    index(sorted((project / "videos").iterdir()))
    assert "3 extracted" in stage.run()
    first = hashes(project / "data/frames")
    assert "0 extracted" in stage.run()
    for path in (project / ".store/frames").iterdir():
        path.unlink()
    settings(workers=2)
    assert "3 extracted" in stage.run()
    assert hashes(project / "data/frames") == first


def test_a_killed_run_is_finished_with_the_bytes_of_an_undisturbed_one(project):
    for number in range(6):
        write_video(project / f"videos/v{number}.mp4", 400 + number, gop=40)
    index(sorted((project / "videos").iterdir()))
    settings(fps="25")
    environment = os.environ | {"PYTHONPATH": str(Path(stage.__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-c", "from pipeline.frames.stage import run; run()"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "frames 1/6" in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    finished = len(list((project / ".store/frames").glob("[!.]*.h5")))
    assert 1 <= finished < 6
    assert f"{6 - finished} extracted" in stage.run()
    resumed = hashes(project / "data/frames")
    for path in (project / ".store/frames").glob("*.h5"):
        path.unlink()
    stage.run()
    assert hashes(project / "data/frames") == resumed


def test_a_full_disk_is_named_and_leaves_nothing_half_written(project, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        write_video(project / "videos/v.mp4", 200)
        index([project / "videos/v.mp4"])
        settings(fps="25")
        os.environ["DVC_ROOT"] = str(small)
        with pytest.raises(PipelineError, match="no space left on this disk"):
            stage.run()
        assert not [p for p in small.rglob("*") if p.is_file()]
    finally:
        os.environ["DVC_ROOT"] = str(project)
        subprocess.run(["umount", str(small)], check=True)


def test_the_view_of_an_endoscope_is_found_and_even_sized():
    images = np.zeros((5, 101, 161, 3), dtype=np.uint8)
    y, x = np.mgrid[:101, :161]
    inside = np.hypot(y - 50, x - 80) < 40
    for image, brightness in zip(images, (3, 60, 90, 5, 120), strict=True):
        image[inside] = brightness
    box = view_box(images)
    assert abs(box.top - 12) <= 3 and abs(box.left - 42) <= 3
    assert (box.bottom - box.top) % 2 == (box.right - box.left) % 2 == 0
    assert box.cut(images[2]).mean() > 65


def test_without_a_view_the_whole_frame_is_kept():
    assert view_box(np.zeros((3, 20, 30, 3), dtype=np.uint8)) == Box(0, 20, 0, 30)


def test_the_short_side_is_resized_and_odd_sizes_are_fine():
    image = np.zeros((481, 853, 3), dtype=np.uint8)
    assert resize_short_side(image, 256).shape == (256, 454, 3)
    assert resize_short_side(image.transpose(1, 0, 2), 256).shape == (454, 256, 3)
    assert resize_short_side(image[:100, :120], 200).shape == (200, 240, 3)


def test_borders_are_cropped_by_one_box_per_video(project, shared_data):
    name = "VID25_324.mp4"
    (project / "videos").mkdir()
    (project / "videos" / name).symlink_to((shared_data / "clips" / name).resolve())
    index([project / "videos" / name])
    text = Path("params.yaml").read_text().replace("crop_borders: false", "crop_borders: true")
    Path("params.yaml").write_text(text)
    stage.run()
    with FrameFile(project / "data/frames/VID25_324.h5") as frames:
        top, bottom, left, right = frames.attributes["crop_box"].tolist()
        assert len({frames.image(i).shape for i in range(len(frames))}) == 1
        assert frames.image(0).shape[0] == 64
    assert 0 <= top < bottom <= 480 and 0 <= left < right <= 854
    assert right - left < 700
