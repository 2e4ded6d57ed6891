"""Pictures of what the predictions at some moments of a video were made from."""

from collections.abc import Sequence
from pathlib import Path

from pipeline import paths
from pipeline.checkpoint import read_header
from pipeline.drawing.heat import Panel, heat_picture
from pipeline.errors import PipelineError
from pipeline.explain.request import clock, find_video, sample_at
from pipeline.feature_store import read_features
from pipeline.frame_labels import phases_at
from pipeline.model_pair import task_of
from pipeline.saliency.gradcam import METHODS
from pipeline.saliency.models import Models, read_models
from pipeline.saliency.moment import Moment, attention_heat, read_moment
from pipeline.tables import read_labels, read_test_folds


def explain(asked: str, times: Sequence[str], output: Path) -> str:
    """Write one picture per moment.

    Args:
        asked: The video, as find_video takes it.
        times: As read_seconds takes them.
        output: Folder of the pictures.

    Returns:
        A line per picture: moment, truth, prediction, file.

    Raises:
        PipelineError: An unknown video or time, or models of single images, or frames, features
            and models that are not there or do not belong together.
    """
    if task_of(read_header(paths.TEMPORAL)) == "images":
        raise PipelineError(
            f"{paths.TEMPORAL}: trained on single images (task.kind: images), but explain draws "
            "moments of videos (task.kind: frames). reports/index.html shows the images whose "
            "wrong predictions were surest."
        )
    video = find_video(asked)
    fold = read_test_folds().get(video)  # its networks did not learn from this video
    features = paths.features_of(fold)
    stored = read_features(features / f"{video}.h5")
    fps = float(stored.attributes["fps"])
    samples = [sample_at(video, text, stored.time_s, fps) for text in times]
    models = read_models(fold=fold)
    classes = tuple(models.header["classes"])
    labels = read_labels()
    truth = phases_at(stored.time_s, labels[labels["video"] == video], classes, paths.INDEX)
    lines = []
    for sample in samples:
        moment = read_moment(models, video, sample, features=features)
        at = clock(float(stored.time_s[sample]))
        path = output / f"{video}_{at.replace(':', '-')}.png"
        lines.append(_draw(path, models, moment, int(truth[sample]), f"{video}, {at}"))
    return "\n".join(lines)


def _draw(path: Path, models: Models, moment: Moment, truth: int, where: str) -> str:
    """Write the picture of a moment; what it shows and where it is, in a line.

    Args:
        path: The PNG.
        models: Both networks.
        moment: Of a video.
        truth: True class, -1 where unlabelled.
        where: Video and time.
    """
    classes, share = models.header["classes"], moment.probabilities
    prediction = int(share.argmax())
    said = (
        f"truth {classes[truth] if truth >= 0 else 'unlabelled'}, "
        f"predicted {classes[prediction]} with {100 * share[prediction]:.0f} %"
    )
    shown = {prediction: "predicted"}
    if truth >= 0:
        shown[truth] = "true" if truth != prediction else "true and predicted"
    rows = _gradient_rows(moment, classes, shown)
    for number, (backbone, image) in enumerate(zip(models.backbones, moment.images, strict=True)):
        attention = attention_heat(backbone, image)
        if attention is not None:
            label = f"\n{number + 1}. {backbone.name}" if len(models.backbones) > 1 else ""
            rows[f"Attention rollout{label}"] = {
                "whatever the phase": Panel(moment.seen[number], attention)
            }
    if not rows:
        names = " and ".join(backbone.name for backbone in models.backbones)
        return f"{where}: {said}; {names} has neither maps nor attention to draw"
    heat_picture(path, moment.frame, (where, said), rows)
    return f"{where}: {said}: {path}"


def _gradient_rows(
    moment: Moment, classes: Sequence[str], shown: dict[int, str]
) -> dict[str, dict[str, Panel]]:
    """A row per method and part of the backbone, a column per class."""
    rows: dict[str, dict[str, Panel]] = {}
    for part in moment.trace.parts:
        for name, method in METHODS.items():
            row = rows.setdefault("\n".join(filter(None, (name, part.label))), {})
            for number, role in shown.items():
                heat = moment.trace.heat(part, number, method).numpy()
                title = f"{classes[number]}\n{role}, {100 * moment.probabilities[number]:.0f} %"
                note = "" if heat.any() else "nothing speaks for this phase"
                row[title] = Panel(moment.seen[part.image], heat, note)
    return rows
