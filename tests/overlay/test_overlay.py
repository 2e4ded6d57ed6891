"""The command `overlay`: the same video with its phases along the lower edge."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner
from videos import number_of, write_video

from pipeline.cli import app
from pipeline.drawing.colours import class_colours
from pipeline.errors import PipelineError
from pipeline.frames.decode import upright
from pipeline.frames.source import open_source
from pipeline.overlay.band import Band
from pipeline.overlay.copying import Picture, write_copy
from pipeline.view.inputs import read_shown

PHASES = ("A", "B", "C")


def table(path, fps, seconds, phases="ABC"):
    """A prediction in which every phase has its third."""
    count = int(fps * seconds)
    rows = [f"{i / fps},{phases[len(phases) * i // count]},0.5,0.3,0.2" for i in range(count)]
    path.write_text("\n".join(["time_s,prediction,p_A,p_B,p_C", *rows]) + "\n")
    return path


def times(path):
    timeline = open_source("v", path, whole=False).timeline
    return np.array([timeline.seconds(i) for i in range(len(timeline.ticks))])


def images(path):
    with av.open(str(path)) as container:
        return [upright(frame) for frame in container.decode(video=0)]


def written(video, prediction, out):
    result = CliRunner().invoke(
        app, ["overlay", str(video), "--prediction", str(prediction), "-o", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert f"Wrote {out.resolve()}" in result.output
    return out


def close(image, colour):
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return np.abs(image.astype(int) - wanted).max(axis=-1) < 24


def test_the_phase_of_the_moment_is_shown_and_the_picture_above_stays(workplace):
    """A video with two lengths of frames, in which each frame carries its number."""
    ticks = np.cumsum([0, *([1, 3] * 30)])[:60]
    write_video(Path("v.mp4"), 60, 25, ticks=ticks.tolist())
    out = written(Path("v.mp4"), table(Path("v.csv"), 5, 4.8), Path("out.mp4"))
    np.testing.assert_allclose(times(out), ticks / 25, atol=1e-6)
    for number, image in enumerate(images(out)):
        assert image.shape == (64, 160, 3)
        assert number_of(image[:16]) == number  # above the band
        phase = int(3 * int(5 * ticks[number] / 25 + 1e-9) / 24)
        swatch = image[20 + 8 : 20 + 26, 10:28]
        assert close(swatch, class_colours(3)[phase]).mean() > 0.5


def test_a_picture_lower_than_the_band_is_covered_by_it(workplace):
    write_video(Path("v.mp4"), 10, 25)
    y, u, v = (np.full(shape, 200, np.uint8) for shape in ((32, 160), (16, 80), (16, 80)))
    shown = read_shown("v.mp4", table(Path("v.csv"), 25, 0.4))
    Band(shown)(Picture(y, u, v, bt709=False), 0.2)
    assert (y != 200).mean() > 0.9


def test_what_is_not_painted_keeps_its_colours(workplace, shared_data):
    """Of ten bits and 4:2:2 too."""
    for name in ("apple-prores-422-proxy.mov", "hevc.mp4"):
        video, out = shared_data / "decode" / name, Path("out.mp4")
        write_copy(video, out, "copy")
        np.testing.assert_allclose(times(out), times(video), atol=1e-6)
        with av.open(str(out)) as copy:
            assert copy.streams.video[0].codec_context.pix_fmt == "yuv420p"
        for a, b in zip(images(video)[::9], images(out)[::9], strict=True):
            assert np.abs(a.astype(int) - b).mean() < 3


def test_sound_is_kept_as_it_is_and_pcm_becomes_aac(workplace, shared_data):
    write_sound(Path("pcm.mov"))
    for source, codec in ((shared_data / "decode/test.avi", "mp3"), (Path("pcm.mov"), "aac")):
        write_copy(source, Path("out.mp4"), "copy")
        np.testing.assert_allclose(times(Path("out.mp4")), times(source), atol=1e-3)
        with av.open(str(source)) as before, av.open("out.mp4") as after:
            sound = after.streams.audio[0]
            assert sound.codec_context.name.startswith(codec)
            length_s = float(before.streams.audio[0].duration * before.streams.audio[0].time_base)
            assert float(sound.duration * sound.time_base) == pytest.approx(length_s, abs=0.05)


def write_sound(path):
    """One second of video with a tone as it comes from a recorder."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 65 // 2 * 2, 48, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
            container.mux(video.encode(frame))
            tone = (3000 * np.sin(np.arange(320) / 5)).astype(np.int16)[None]
            heard = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = 8000, 320 * number, Fraction(1, 8000)
            container.mux(sound.encode(heard))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))


def test_a_turned_video_is_upright_in_its_copy(workplace, shared_data):
    turned, out = shared_data / "decode/video_90.mov", Path("out.mp4")
    write_copy(turned, out, "copy")
    before, after = images(turned)[0], images(out)[0]
    assert before.shape == after.shape
    assert np.abs(before.astype(int) - after).mean() < 3


def test_a_failure_leaves_nothing_behind(workplace, shared_data):
    with pytest.raises(PipelineError, match=r"corrupted.*Copy it anew"):
        write_copy(shared_data / "decode/corrupted.mp4", Path("new/out.mp4"), "copy")
    assert list(Path("new").iterdir()) == []
    write_video(Path("v.mp4"), 5)
    with pytest.raises(PipelineError, match=r"v\.mp4: that is the video itself"):
        write_copy(Path("v.mp4"), Path("v.mp4"), "copy")
    with pytest.raises(PipelineError, match=r"End its name in \.mp4"):
        write_copy(Path("v.mp4"), Path("out.avi"), "copy")
