"""Write the page of a video, and a copy of the video where browsers cannot play it."""

from pathlib import Path

from pipeline import paths
from pipeline.errors import PipelineError
from pipeline.overlay.copying import write_copy
from pipeline.view.inputs import Shown, read_shown, read_truth
from pipeline.view.page import View, write_view
from pipeline.view.playable import why_not_played


def view(
    asked: str,
    prediction: Path | None,
    truth: Path | None,
    out: Path | None,
    transcode: bool,
) -> str:
    """Write the page.

    Args:
        asked: The video, as read_shown takes it.
        prediction: Its table; None is reports/predictions/<video>.csv.
        truth: A table of its labels; None is data/index/labels.csv.
        out: The page; None is beside the video, or in reports/view for a video of the dataset,
            whose folder stays as it is.
        transcode: Whether to write a copy in H.264 beside the page, and play that.

    Returns:
        Where the page is, and what to do about a video that browsers do not play.

    Raises:
        PipelineError: As read_shown and read_truth.
    """
    shown = read_shown(asked, prediction)
    page = out or _beside(shown)
    if page.suffix.lower() not in (".html", ".htm"):
        raise PipelineError(f"--out {page}: the page is an HTML file. End its name in .html.")
    known = read_truth(shown, truth)
    file = shown.path
    if transcode:
        file = page.with_name(f"{shown.name}_h264.mp4")
        write_copy(shown.path, file, "transcode")
    write_view(
        View(
            video=file,
            fps=shown.fps,
            time_s=shown.time_s,
            classes=shown.classes,
            prediction=shown.prediction,
            probabilities=shown.probabilities,
            truth=known,
            model=f"Prediction: {shown.prediction_file}",
            name=shown.name,
        ),
        page,
    )
    reason = why_not_played(file)
    if not reason:
        return f"Open {page.resolve()}"
    return (
        f"Open {page.resolve()}\nBrowsers do not play {file}: {reason}. Add --transcode, which "
        "writes a copy in H.264 beside the page."
    )


def _beside(shown: Shown) -> Path:
    folder = paths.VIEWS if shown.in_dataset else shown.path.parent
    return folder / f"{shown.name}.html"
