"""The files that are written for a video with one answer: a table, the answer, a page.

Each appears under its name only when it is whole; the JSON comes last and says that all are there.
"""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from pipeline.atomic import write_text
from pipeline.drawing.svg_ribbons import attention_ribbon, clock
from pipeline.pages import templates_of
from pipeline.predict.answer import VideoAnswer, most_attended
from pipeline.tables import write_table
from pipeline.view.playable import why_not_played

ENDINGS = (".csv", ".html", ".json")


def write_answer(answer: VideoAnswer, video: Path, out: Path, made_by: dict[str, Any]) -> None:
    """Write the files of a video.

    Args:
        answer: What was predicted.
        video: The file of the video.
        out: Folder.
        made_by: From pipeline.predict.outputs.made_by().
    """
    path = out / video.name
    # Shares of a long video are small, and tables have six digits: the mean sample counts 1.
    attention = answer.attention * len(answer)
    table = pd.DataFrame({"time_s": answer.time_s, "attention": attention})
    write_table(table, path.with_suffix(".csv"))
    write_text(path.with_suffix(".html"), _page(answer, video, out) + "\n")
    content = made_by | {
        "video": video.name,
        "fps": answer.fps,
        "samples": len(answer),
        "target": answer.target,
        "scale": answer.scale,
        "warnings": list(answer.warnings),
        "prediction": _rounded(answer.prediction),
        "probabilities": _probabilities(answer),
        "most_attended_s": [
            round(float(answer.time_s[sample]), 6) for sample in most_attended(answer.attention)
        ],
    }
    write_text(path.with_suffix(".json"), json.dumps(content, indent=2) + "\n")


def _page(answer: VideoAnswer, video: Path, out: Path) -> str:
    environment = templates_of("pipeline.predict")
    unlabelled = np.full(len(answer), -1, dtype=np.int64)
    seconds = [float(answer.time_s[sample]) for sample in most_attended(answer.attention)]
    return environment.get_template("answer.html.jinja").render(
        video=video.stem,
        file=quote(os.path.relpath(video, out).replace(os.sep, "/")),
        why_not_played=why_not_played(video),
        answer=answer,
        prediction=_rounded(answer.prediction),
        probabilities=_probabilities(answer),
        ribbon=attention_ribbon(video.stem, unlabelled, answer.attention, answer.fps, 0),
        moments=[(at_s, clock(at_s)) for at_s in seconds],
        duration_s=len(answer) / answer.fps,
    )


def _rounded(prediction: str | float | None) -> str | float | None:
    return round(prediction, 6) if isinstance(prediction, float) else prediction


def _probabilities(answer: VideoAnswer) -> dict[str, float]:
    """By class; empty for a number."""
    shares = answer.probabilities.tolist()
    return {name: round(p, 6) for name, p in zip(answer.classes, shares, strict=True)}
