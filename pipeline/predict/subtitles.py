"""Segments as WebVTT, which players show as subtitles (W3C, WebVTT: The Web Video Text Tracks)."""

from collections.abc import Sequence

from pipeline.predict.prediction import Segment

_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def webvtt(segments: Sequence[Segment]) -> str:
    """The text of a .vtt file: one cue per segment with its class and mean confidence."""
    cues = [
        f"{number}\n{_clock(segment.start_s)} --> {_clock(segment.end_s)}\n"
        f"{segment.label.translate(_ESCAPED)} ({100 * segment.confidence:.0f} %)\n"
        for number, segment in enumerate(segments, start=1)
    ]
    return "\n".join(["WEBVTT\n", *cues])


def _clock(seconds: float) -> str:
    """HH:MM:SS.mmm."""
    minutes, milliseconds = divmod(round(1000 * seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds / 1000:06.3f}"
