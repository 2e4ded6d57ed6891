"""Image models of transformers: `hf/<repository of the hub>` or `hf/<folder>`.

A folder holds config.json, preprocessor_config.json and, for the weights DEFAULT,
model.safetensors. Code of repositories is never run, and weights are read from safetensors only.

Features are the model's `pooler_output`: the class token after the last norm (DINOv2, DINOv3), or
the average over the last map (ConvNeXt, Swin, ResNet). Where that would come out of a layer of its
own weights, as in ViT, it is the class token before it: many published files lack this layer. A
model is one block, which strategies train as a whole, and has no map.
"""

import inspect
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.errors import PipelineError
from pipeline.networks.backbones.contract import Backbone, PublishedWeights, Tensors
from pipeline.networks.backbones.extra import library
from pipeline.networks.backbones.names import names_of, new_names
from pipeline.networks.backbones.stretched import Stretched
from pipeline.networks.backbones.transform import Transform

LIBRARIES = ("transformers",)
PREFIX = "hf/"
NAMES: tuple[str, ...] = (
    "hf/facebook/dinov2-small",
    "hf/facebook/dinov3-vits16-pretrain-lvd1689m",
    "hf/google/vit-base-patch16-224-in21k",
    "hf/facebook/convnextv2-tiny-22k-224",
    "hf/microsoft/swin-tiny-patch4-window7-224",
)

_RESAMPLE = {2: "bilinear", 3: "bicubic"}  # of PIL
# ConvNeXt's processor crops images below this side, and stretches larger ones.
_CONVNEXT_CROPPED_BELOW_PX = 384


def build(name: str) -> Backbone:
    """An untrained model of transformers.

    Raises:
        PipelineError: transformers is not installed, or the configuration cannot be had.
        ValueError: It is no model that takes images and gives features.
    """
    transformers = library("transformers", "hf")
    config = _read(name, transformers.AutoConfig.from_pretrained)
    try:
        made = transformers.AutoModel.from_config(config)  # attention fused where it can be
    except ValueError as error:
        raise ValueError(f"found {name}: {str(error).splitlines()[0]}") from None
    names = names_of(made)
    if _learnt_pooler(made):
        made.pooler = None
    network = nn.Sequential(OrderedDict(whole=_Whole(made)))
    transform = _transform(name)
    return Backbone(
        name=name,
        network=network,
        dim=_dim(name, made, transform.crop_px),
        transform=transform,
        blocks=lambda: list(network),
        pool=nn.Identity(),
        classifier_keys=("classifier.", "pooler.", "head."),
        translate=partial(_translated, f"{made.base_model_prefix}.", new_names(names, network)),
    )


def published(name: str) -> dict[str, PublishedWeights]:
    """DEFAULT: the weights of the repository or folder.

    Raises:
        PipelineError: transformers is not installed, or the configuration cannot be had.
    """
    location = name.removeprefix(PREFIX)
    url = location if Path(location).is_dir() else f"https://huggingface.co/{location}"
    return {"DEFAULT": PublishedWeights(url, _transform(name), partial(_fetch, location))}


class _Whole(nn.Module):
    """All of a model in one block."""

    def __init__(self, made: Any) -> None:
        super().__init__()
        self.made = made
        takes = inspect.signature(made.forward).parameters
        self._settings = (
            {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in takes else {}
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) to (B, D)."""
        given = self.made(pixel_values=images, **self._settings)
        pooled: torch.Tensor | None = given.get("pooler_output")
        if pooled is None:
            tokens: torch.Tensor = given["last_hidden_state"]
            return tokens[:, 0]
        return pooled.flatten(1)


def _learnt_pooler(made: Any) -> bool:
    pooler = getattr(made, "pooler", None)
    return isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters())


def _dim(name: str, made: Any, crop_px: int) -> int:
    """Found by shapes alone, on a copy without numbers."""
    with torch.device("meta"), torch.inference_mode():
        empty = type(made)(made.config)
        if _learnt_pooler(empty):
            empty.pooler = None
        try:
            return int(_Whole(empty)(torch.empty(1, 3, crop_px, crop_px)).shape[1])
        except (TypeError, KeyError, ValueError, AttributeError):
            raise ValueError(
                f"found {name}, a {type(made).__name__}, which does not turn images into features"
            ) from None


def _read(name: str, read: Any) -> Any:
    """A configuration from the folder, the hub's cache or the hub.

    Raises:
        PipelineError: It is in none of them.
    """
    location = name.removeprefix(PREFIX)
    try:
        return read(location, local_files_only=True)
    except (OSError, ValueError):
        pass  # not fetched yet
    try:
        return read(location)
    except (OSError, ValueError) as error:
        raise PipelineError(
            f"params.yaml: backbone.name: found {name}, whose configuration cannot be had "
            f"({str(error).splitlines()[0]}). On a machine without network, put config.json, "
            f"preprocessor_config.json and model.safetensors of "
            f"https://huggingface.co/{location} into a folder and write {PREFIX}<folder>."
        ) from None


def _transform(name: str) -> Transform:
    """What preprocessor_config.json says.

    Raises:
        PipelineError: There is none.
        ValueError: It asks for what is not supported.
    """
    processor = _read(name, library("transformers", "hf").AutoImageProcessor.from_pretrained)
    size, crop = dict(processor.size or {}), dict(getattr(processor, "crop_size", None) or {})
    if not processor.do_resize or processor.resample not in _RESAMPLE:
        raise ValueError(
            f"found {name}, whose preprocessor_config.json has do_resize: {processor.do_resize}, "
            f"resample: {processor.resample}. Supported: true, and one of {list(_RESAMPLE)}"
        )
    normalised = processor.do_normalize
    mean = tuple(processor.image_mean) if normalised else (0.0, 0.0, 0.0)
    std = tuple(processor.image_std) if normalised else (1.0, 1.0, 1.0)
    rest = (_RESAMPLE[processor.resample], mean, std)
    short = size.get("shortest_edge")
    share = getattr(processor, "crop_pct", None)
    if short and share:
        if short >= _CONVNEXT_CROPPED_BELOW_PX:
            return Stretched(short, short, *rest, width_px=short)
        return Transform(int(short / share), short, *rest)
    cropped = bool(getattr(processor, "do_center_crop", False)) and "height" in crop
    if short and cropped:
        return Transform(short, crop["height"], *rest)
    if "height" in size:
        crop_px = crop["height"] if cropped else size["height"]
        return Stretched(size["height"], crop_px, *rest, width_px=size["width"])
    raise ValueError(f"found {name}, whose preprocessor_config.json gives no size: {size}")


def _fetch(location: str) -> Tensors:
    transformers = library("transformers", "hf")
    try:
        made, report = transformers.AutoModel.from_pretrained(
            location,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # of half a dozen libraries
        raise OSError(str(error).splitlines()[0]) from error
    # transformers draws at random what a file lacks; here it is to be missed.
    lacking = set(report["missing_keys"])
    return {name: t for name, t in made.state_dict().items() if name not in lacking}


def _translated(prefix: str, names: Mapping[str, str], tensors: Tensors) -> Tensors:
    """Tensors to the names of `network`, wherever they were saved from.

    Args:
        prefix: Of this model in one with a classifier, which DINOv3 has inside as well.
        names: What each tensor is called in the network, by its name in the model.
        tensors: Of the model, with the prefix or without it, or of the network.
    """

    def known(name: str) -> str:
        spellings = (name, name.removeprefix(prefix), prefix + name)
        return next((names[spelt] for spelt in spellings if spelt in names), name)

    return {known(name): tensor for name, tensor in tensors.items()}
