"""One frame's way through backbone and temporal model, kept so that a logit leads back to maps.

The logits are those of the trained temporal model at that frame, with all that it remembers of the
frames before, and not those of a classifier trained for the explanation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.hybrid import is_hybrid, parts_of
from pipeline.networks.temporal.contract import TemporalModule
from pipeline.saliency.gradcam import Method, relative

# What blocks hand on: a tensor, or a tuple of tensors and None.
Handed = Any


@dataclass(frozen=True)
class Part:
    """What a logit can be led back to.

    Attributes:
        label: Which network it is; empty where there is only one.
        image: Which of the images that `trace` was given it saw.
        outputs: What the last block returned and what it was given, both before the feature in the
            graph. The feature of a transformer with a class token depends on the first one by that
            token alone, so that its patches have a gradient in the second one only.
        maps: Either of them to a map (1, K, h, w), of a clip (1, K, l, h, w). It only moves values,
            so that it turns gradients into the map's gradients as well.
    """

    label: str
    image: int
    outputs: Sequence[Handed]
    maps: Callable[[Handed], torch.Tensor]


@dataclass(frozen=True)
class Trace:
    """One frame's logits, and the parts of the backbone that they lead back to.

    Attributes:
        logits: (C,), differentiable.
        parts: One per network that has maps.
        own: Where in a clip the frame lies, from 0, its first moment, to 1, its last one.
    """

    logits: torch.Tensor
    parts: Sequence[Part]
    own: float = 0.0

    def heat(self, part: Part, class_number: int, method: Method) -> torch.Tensor:
        """Where in the image a class comes from.

        Args:
            part: One of `parts`.
            class_number: Whose logit.
            method: Of gradcam.py.

        Returns:
            (h, w), 0 to 1; zero everywhere where nothing speaks for the class. Of a clip, the map
            of the frame's moment, as a share of the highest value in all moments.
        """
        logit = self.logits[class_number]
        for output in part.outputs:
            gradients = part.maps(_each(output, lambda x: _gradient(logit, x)))
            if gradients.any():
                return self._at_own(part.maps(output).detach(), gradients, method)
        return torch.zeros(gradients.shape[-2:])

    def _at_own(self, maps: torch.Tensor, gradients: torch.Tensor, method: Method) -> torch.Tensor:
        if maps.dim() == 4:
            return relative(method(maps, gradients))[0]
        # Moments one below the other: sums and means over places are then over time as well.
        moments = maps.shape[2]
        heat = relative(method(maps.flatten(2, 3), gradients.flatten(2, 3)))[0]
        return heat.chunk(moments)[round(self.own * (moments - 1))]


def trace(
    backbones: Sequence[Backbone],
    temporal: TemporalModule,
    images: Sequence[torch.Tensor],
    features: torch.Tensor,
    sample: int,
    own: float = 0.0,
) -> Trace:
    """One frame through all networks.

    Args:
        backbones: In evaluation mode; their features lie side by side.
        temporal: In evaluation mode.
        images: The frame as each backbone wants it, (1, 3, H, W) float, normalised, or its clip
            (1, L, 3, H, W).
        features: (T, D) float, of the whole video; the frame's own row is not read.
        sample: The frame's row.
        own: Where in its clip the frame lies, 0 to 1.
    """
    encoded, parts = [], []
    for number, (backbone, image) in enumerate(zip(backbones, images, strict=True)):
        label = f"{number + 1}. {backbone.name}" if len(backbones) > 1 else ""
        labelled = maps_of(backbone)
        with torch.set_grad_enabled(bool(labelled)):
            feature, outputs = _encoded(backbone, image)
        encoded.append(feature)
        parts += [Part(named or label, number, outputs, maps) for named, maps in labelled]
    return Trace(logits_at(temporal, features, sample, torch.cat(encoded)), parts, own)


def _encoded(backbone: Backbone, image: torch.Tensor) -> tuple[torch.Tensor, list[Handed]]:
    """The feature (D,), what the last block returned and what it was given."""
    *earlier, last = backbone.blocks()
    with torch.no_grad():
        given: Handed = image
        for block in earlier:
            given = block(given)
    # Gradients start here: nothing asks for those of the layers before. A copy goes on, because a
    # block may work in place, which a tensor that gradients start from does not allow.
    given = _each(given, lambda x: x.detach().requires_grad_())
    returned = last(_each(given, torch.clone))
    return backbone.pool(returned)[0], [returned, given]


def maps_of(backbone: Backbone) -> list[tuple[str, Callable[[Handed], torch.Tensor]]]:
    """The maps of a backbone, each from what its last block returns, with the names of networks.

    Networks that were fused into one hand on a tuple, and each has a map of its own.
    """
    if not is_hybrid(backbone.name):
        return [] if backbone.maps is None else [("", backbone.maps)]
    found = []
    for number, name in enumerate(parts_of(backbone.name)[0]):
        with torch.device("meta"):  # no memory, no numbers
            maps = build_backbone(name).maps
        if maps is not None:
            found.append((f"{number + 1}. {name}", _map_of(number, maps)))
    return found


def _map_of(
    number: int, maps: Callable[[Handed], torch.Tensor]
) -> Callable[[Handed], torch.Tensor]:
    return lambda handed: maps(handed[number])


def _each(value: Handed, function: Callable[[torch.Tensor], torch.Tensor]) -> Handed:
    """A function of tensors on what blocks hand on."""
    if isinstance(value, tuple):
        return tuple(_each(part, function) for part in value)
    return function(value) if isinstance(value, torch.Tensor) else value


def _gradient(logit: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """Zero where the logit does not depend on the tensor."""
    if not tensor.requires_grad:
        return torch.zeros_like(tensor)
    (found,) = torch.autograd.grad(logit, tensor, retain_graph=True, allow_unused=True)
    return torch.zeros_like(tensor) if found is None else found


def logits_at(
    temporal: TemporalModule, features: torch.Tensor, sample: int, feature: torch.Tensor
) -> torch.Tensor:
    """The temporal model's logits (C,) at a frame, differentiable in that frame's feature.

    A causal network reads the frames before without gradients and, where it carries a state, the
    frame itself as its continuation: the gradient then costs one step, however long the video is.

    Args:
        temporal: In evaluation mode.
        features: (T, D) float, of the whole video; the frame's own row is not read.
        sample: The frame's row.
        feature: (D,), takes the place of that row.
    """
    before, after = features[:sample], features[sample + 1 :]
    if temporal.causal:
        after = after[:0]
        if temporal.receptive_field is not None:
            before = before[max(0, sample + 1 - temporal.receptive_field) :]
        if len(before):
            with torch.no_grad():
                state = temporal(before[None], _mask(before)).state
            if state is not None:
                here = feature[None]
                logits: torch.Tensor = temporal(here[None], _mask(here), state).logits[-1]
                return logits[0, 0]
    whole = torch.cat((before, feature[None], after))
    logits = temporal(whole[None], _mask(whole)).logits[-1]
    return logits[0, len(before)]


def _mask(features: torch.Tensor) -> torch.Tensor:
    return torch.ones(1, len(features), dtype=torch.bool)
