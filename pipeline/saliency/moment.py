"""One moment of a video: its frame, and the prediction there with what it leads back to."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline import paths
from pipeline.errors import PipelineError
from pipeline.feature_store import read_features
from pipeline.frame_store import FrameFile
from pipeline.saliency.models import Models
from pipeline.saliency.rollout import attentions_of, patch_shares, rollout
from pipeline.saliency.trace import Trace, trace


@dataclass(frozen=True)
class Moment:
    """A sample of a video, as both networks had it.

    Attributes:
        time_s: Its presentation time.
        frame: (H, W, 3) uint8 RGB, whole.
        seen: (S, S, 3) uint8 RGB, what the backbone got to see of it, before normalisation.
        image: (1, 3, S, S) float, the same normalised.
        trace: Its logits and where they come from.
    """

    time_s: float
    frame: NDArray[np.uint8]
    seen: NDArray[np.uint8]
    image: torch.Tensor
    trace: Trace

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """(C,) of the classes."""
        found: NDArray[np.float32] = self.trace.logits.detach().softmax(dim=0).numpy()
        return found


def read_moment(
    models: Models,
    video: str,
    sample: int,
    frames: Path = paths.FRAMES,
    features: Path = paths.FEATURES,
) -> Moment:
    """One frame through both networks, among the stored features of its video.

    Args:
        models: Both networks.
        video: Identifier.
        sample: Row of the features.
        frames: Folder of the containers.
        features: Folder of the features.

    Raises:
        PipelineError: Frames, features and backbone do not belong together, or the frame was lost.
    """
    path = features / f"{video}.h5"
    stored = read_features(path)
    found = stored.attributes
    if found["weights_hash"] != models.weights_hash:
        raise PipelineError(
            f"{path}: made by backbone {str(found['weights_hash'])[:12]}, but {paths.BACKBONE} "
            f"holds {models.weights_hash[:12]}. Run `dvc repro features`."
        )
    with FrameFile(frames / f"{video}.h5") as container:
        if container.attributes.get("fingerprint") != found["frames_fingerprint"]:
            raise PipelineError(
                f"{path}: made from other frames than those in {container.path}. "
                "Run `dvc repro features`."
            )
        if container.lost[sample]:
            kept = container.time_s[container.kept]
            near = kept[np.abs(kept - container.time_s[sample]).argsort(kind="stable")[:1]]
            raise PipelineError(
                f"{container.path}: the frame at {container.time_s[sample]:g} s could not be "
                f"decoded. The nearest one is at {', '.join(f'{at:g} s' for at in near) or '-'}."
            )
        frame = container.image(sample)
    transform = models.transform.cropped(int(found["crop"]))
    prepared = transform.prepare(torch.from_numpy(frame).permute(2, 0, 1))
    image = transform.normalise(prepared[None])
    rows = torch.from_numpy(stored.features).float()
    rgb = prepared if transform.channels == "rgb" else prepared.flip(0)
    return Moment(
        time_s=float(stored.time_s[sample]),
        frame=frame,
        seen=np.ascontiguousarray(rgb.permute(1, 2, 0).numpy()),
        image=image,
        trace=trace(models.backbone, models.temporal, image, rows, sample),
    )


def attention_heat(models: Models, moment: Moment) -> NDArray[np.float32] | None:
    """Attention rollout at a moment, (h, h), 0 to 1; None where the backbone has no attention."""
    attentions = attentions_of(models.backbone.network, moment.image)
    shares = patch_shares(rollout(attentions)) if attentions else None
    if shares is None:
        return None
    heat: NDArray[np.float32] = (shares[0] / shares[0].max()).numpy()
    return heat
