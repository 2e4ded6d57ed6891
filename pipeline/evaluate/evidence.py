"""Where in the middle frame of a wrong run its predicted phase came from, for the page.

Like the frames themselves (thumbnails.py), these pictures are on the page where data/frames holds
the frames, and change nothing else.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.drawing.heat import overlaid
from pipeline.errors import PipelineError
from pipeline.evaluate.error_analysis import WrongRun
from pipeline.evaluate.thumbnails import Thumbnail, thumbnail
from pipeline.paths import features_of

if TYPE_CHECKING:
    from pipeline.saliency.models import Models


def evidence(
    runs: Sequence[WrongRun], fold_of: Mapping[str, int | None]
) -> dict[WrongRun, Thumbnail]:
    """Grad-CAM of the predicted phase over the middle frame of each run, in the first backbone.

    Without runs whose frame was lost or does not belong to the features and models, and empty for
    backbones without a map.

    Args:
        runs: Those whose frames are there.
        fold_of: In which each video is a test video.
    """
    if not runs:
        return {}
    # torchvision takes a second to load, which a page without frames does not need.
    from pipeline.saliency.models import read_models

    folds = {fold_of[run.video] for run in runs}
    try:
        models = {fold: read_models(fold=fold) for fold in folds}
    except PipelineError:
        return {}
    found = {
        run: _over_middle_frame(run, models[fold], features_of(fold))
        for run in runs
        for fold in [fold_of[run.video]]
    }
    return {run: picture for run, picture in found.items() if picture is not None}


def _over_middle_frame(run: WrongRun, models: "Models", features: Path) -> Thumbnail | None:
    from pipeline.saliency.gradcam import grad_cam
    from pipeline.saliency.moment import read_moment

    try:
        moment = read_moment(models, run.video, run.middle, features=features)
    except PipelineError:
        return None
    if not moment.trace.parts:
        return None
    part = moment.trace.parts[0]
    heat = moment.trace.heat(part, run.prediction, grad_cam)
    return thumbnail(overlaid(moment.seen[part.image], heat.numpy()), moment.time_s)
