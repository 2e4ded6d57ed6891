"""The files that are written for a video: a table, segments, subtitles, a document of ELAN, a page.

Each appears under its name only when it is whole; the JSON comes last and says that all are there.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.atomic import write_text
from pipeline.predict.elan import eaf
from pipeline.predict.prediction import Prediction
from pipeline.predict.subtitles import webvtt
from pipeline.result_store import file_hash
from pipeline.tables import write_table
from pipeline.view.page import View, write_view

ENDINGS = (".csv", ".vtt", ".eaf", ".html", ".json")


def write_outputs(prediction: Prediction, video: Path, out: Path, made_by: dict[str, Any]) -> None:
    """Write the files of a video.

    Args:
        prediction: What was predicted.
        video: The file of the video.
        out: Folder.
        made_by: From made_by().
    """
    path = out / video.name
    columns: dict[str, Any] = {"time_s": prediction.time_s, "prediction": prediction.labels}
    for number, name in enumerate(prediction.classes):
        columns[f"p_{name}"] = prediction.probabilities[:, number].astype(np.float64)
    write_table(pd.DataFrame(columns), path.with_suffix(".csv"))
    write_text(path.with_suffix(".vtt"), webvtt(prediction.segments))
    where = Path(os.path.relpath(video, out)).as_posix()
    write_text(path.with_suffix(".eaf"), eaf(prediction.segments, where))
    view = View(
        video=video,
        fps=prediction.fps,
        time_s=prediction.time_s,
        classes=prediction.classes,
        prediction=prediction.classified,
        probabilities=prediction.probabilities,
        model=str(made_by["model"])[:12],
    )
    write_view(view, path.with_suffix(".html"))
    content = made_by | {
        "video": video.name,
        "fps": prediction.fps,
        "samples": len(prediction),
        "classes": list(prediction.classes),
        "warnings": list(prediction.warnings),
        "segments": [
            {
                "start_s": round(segment.start_s, 6),
                "end_s": round(segment.end_s, 6),
                "class": segment.label,
                "confidence": round(segment.confidence, 6),
            }
            for segment in prediction.segments
        ],
    }
    write_text(path.with_suffix(".json"), json.dumps(content, indent=2) + "\n")


def made_by(video: Path, model: str, abstain: float | None) -> dict[str, Any]:
    """What decides the files of a video.

    Args:
        video: The file, which is read for its hash.
        model: Fingerprint of the models.
        abstain: As in Predictor.video.
    """
    return {"model": model, "video_sha256": file_hash(video), "abstain": abstain}


def is_written(
    video: Path, out: Path, made_by: dict[str, Any], endings: Sequence[str] = ENDINGS
) -> bool:
    """Whether the files of a video are there, by these models, from this very video."""
    path = out / video.name
    if not all(path.with_suffix(ending).is_file() for ending in endings):
        return False
    try:
        found = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        return False
    return isinstance(found, dict) and all(found.get(k, "") == v for k, v in made_by.items())
