"""Encoders that were released with weights of surgical images, as data.

Facts are from their repositories' own loading code and configurations (addresses below), read in
November 2026. The files themselves were not opened: layouts are what that code implies.
"""

from dataclasses import dataclass

from pipeline.networks.backbones.stretched import Stretched
from pipeline.networks.backbones.transform import Transform


@dataclass(frozen=True)
class Encoder:
    """What it takes to use released weights, and what to know before.

    Attributes:
        architecture: The backbone.name that they belong to.
        page: Where they are described, and the file is linked.
        url: The file itself; None where only a browser gets it.
        transform: What they expect of an image.
        licence: Of the weights.
        leak: What of the common benchmarks they have seen; None where nothing is known of.
        paths: Keys that lead to the tensors in the checkpoint; the first that is there is taken.
        prefixes: Beginnings of tensor names that wrappers have added, once or repeatedly.
        ignored: Beginnings of the names, without prefixes, that the backbone does not need.
        renames: Parts of names to replace.
    """

    architecture: str
    page: str
    url: str | None
    transform: Transform
    licence: str
    leak: str | None
    paths: tuple[tuple[str, ...], ...] = ((),)
    prefixes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ("head.",)
    renames: tuple[tuple[str, str], ...] = ()


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_NOT_STATED = "not stated"
_CC = "CC BY-NC-SA 4.0"
# PIL resizes with bicubic filters unless told otherwise, torchvision with bilinear ones.
_STRETCHED_224 = Stretched(224, 224, "bicubic", *_IMAGENET, width_px=224)

_ENDOVIT = "https://github.com/DominikBatic/EndoViT"
_ENDOVIT_TRANSFORM = Stretched(
    224, 224, "bilinear", (0.3464, 0.2280, 0.2228), (0.2520, 0.2128, 0.2093), width_px=224
)
# What a masked autoencoder has beyond its encoder.
_AUTOENCODER = ("decoder_", "mask_token", "head.")

_SURGENET = "https://github.com/TimJaspers0801/SurgeNet"
_SURGENET_FILES = "https://huggingface.co/TimJaspersTue/SurgeNetModels/resolve/main"
_SURGENET_LEAK = "pretrained on 76 of the 80 videos of Cholec80, without labels"
# Not stated for SurgeNet: that of ImageNet's CAFormer-S18, which it started from.
_SURGENET_TRANSFORM = Transform(224, 224, "bicubic", *_IMAGENET)

_DINO = "https://github.com/rlpddejong/SurgeNetDINO"
_DINO_FILES = "https://huggingface.co/rlpddejong/SurgeNetXL_DINOv1-v3/resolve/main"

_SELFSUPSURG = "https://github.com/CAMMA-public/SelfSupSurg"
_SELFSUPSURG_FILES = "https://s3.unistra.fr/camma_public/github/selfsupsurg/models"

_SURGVLP = "https://github.com/CAMMA-public/SurgVLP"


def _surgenet(file: str, leak: str | None, architecture: str = "timm/caformer_s18_relu") -> Encoder:
    return Encoder(
        architecture=architecture,
        page=_SURGENET,
        url=f"{_SURGENET_FILES}/{file}_checkpoint_epoch0050_teacher.pth",
        transform=_SURGENET_TRANSFORM,
        licence=_CC,
        leak=leak,
        paths=(("model",), ()),
    )


def _dino(version: int, size: str, architecture: str, side_px: int) -> Encoder:
    patch_px = 14 if version == 2 else 16
    return Encoder(
        architecture=architecture,
        page=_DINO,
        url=f"{_DINO_FILES}/DINOv{version}_ViT{size}{patch_px}_size{side_px}_SurgeNetXL.pth",
        # The resize is not stated; the evaluation of its authors takes the whole image.
        transform=Stretched(side_px, side_px, "bicubic", *_IMAGENET, width_px=side_px),
        licence=_CC,
        leak=_SURGENET_LEAK,
        paths=(("teacher",), ("model",), ("state_dict",), ()),
        prefixes=("module.", "backbone."),
        # The rotations' periods are those of DINOv3, which the network computes.
        ignored=("head.", "dino_head.", "ibot_head.", "mask_token", "rope_embed."),
        renames=((".ls1.gamma", ".gamma_1"), (".ls2.gamma", ".gamma_2")) if version == 3 else (),
    )


def _selfsupsurg(method: str) -> Encoder:
    return Encoder(
        architecture="resnet50",
        page=_SELFSUPSURG,
        url=f"{_SELFSUPSURG_FILES}/model_final_checkpoint_{method}_surg.torch",
        # Its authors evaluate on all of the 224 x 399 pixels, this project on their centre.
        transform=Stretched(224, 224, "bilinear", *_IMAGENET, width_px=399),
        licence=_CC,
        leak="pretrained on the training videos of its split of Cholec80 (1 to 40), without labels",
        paths=(("classy_state_dict", "base_model", "model", "trunk"),),
        prefixes=("_feature_blocks.",),
        ignored=("fc.",),
    )


def _surgvlp() -> Encoder:
    return Encoder(
        architecture="resnet50",
        page=_SURGVLP,
        url=None,  # zip archives behind a page of the university's store
        transform=Stretched(360, 224, "bilinear", *_IMAGENET, width_px=640),
        licence=_CC,
        leak=None,
        paths=(("state_dict",), ()),
        prefixes=("module.", "backbone_img.model."),
        ignored=("backbone_img.", "backbone_text.", "fc."),
    )


ENCODERS: dict[str, Encoder] = {
    "endovit": Encoder(
        architecture="timm/vit_base_patch16_224",
        page=_ENDOVIT,
        url="https://huggingface.co/egeozsoy/EndoViT/resolve/main/pytorch_model.bin",
        transform=_ENDOVIT_TRANSFORM,
        licence=_NOT_STATED,
        leak="pretrained on Cholec80, without labels; which of its videos is not stated",
        paths=(("model",),),
        ignored=_AUTOENCODER,
    ),
    "endovit-spr": Encoder(
        architecture="timm/vit_base_patch16_224",
        page=_ENDOVIT,
        url=None,
        transform=_ENDOVIT_TRANSFORM,
        licence=_NOT_STATED,
        leak="pretrained on the 40 training videos of its split of Cholec80, without labels",
        paths=(("model",),),
        ignored=_AUTOENCODER,
    ),
    "lemonfm": Encoder(
        architecture="convnext_large",
        page="https://github.com/visurg-ai/LEMON",
        url="https://huggingface.co/visurg/LemonFM/resolve/main/lemonfm.pth",
        transform=_STRETCHED_224,
        licence=_NOT_STATED,
        leak=None,
        paths=(("teacher",),),
        prefixes=("module.", "backbone."),
    ),
    "pl-stitch": Encoder(
        architecture="timm/vit_base_patch16_224",
        page="https://github.com/visurg-ai/PL-Stitch",
        url="https://huggingface.co/visurg/PL-Stitch/resolve/main/pl_lemon.pth",
        transform=_STRETCHED_224,
        licence=_NOT_STATED,
        leak=None,
        paths=(("teacher",), ("model",), ()),
        prefixes=("module.", "teacher.", "backbone."),
        ignored=("head.", "masked_embed", "mask_token"),
    ),
    "surgenet-xl": _surgenet("SurgeNetXL", _SURGENET_LEAK),
    "surgenet": _surgenet("SurgeNet", _SURGENET_LEAK),
    "surgenet-small": _surgenet(
        "SurgeNetSmall", "pretrained on a tenth of SurgeNet's frames, some of them of Cholec80"
    ),
    "surgenet-public": _surgenet("Public", _SURGENET_LEAK),
    "surgenet-cholec": _surgenet("CHOLEC", _SURGENET_LEAK),
    "surgenet-ramie": _surgenet("RAMIE", None),
    "surgenet-rarp": _surgenet("RARP", None),
    "surgenet-convnextv2": _surgenet("SurgeNet_ConvNextv2", _SURGENET_LEAK, "timm/convnextv2_tiny"),
    "surgenet-pvtv2": _surgenet("SurgeNet_PVTv2", _SURGENET_LEAK, "timm/pvt_v2_b2"),
    "surgenet-dino-v1-s": _dino(1, "s", "timm/vit_small_patch16_224", 224),
    "surgenet-dino-v1-b": _dino(1, "b", "timm/vit_base_patch16_224", 224),
    "surgenet-dino-v2-s": _dino(2, "s", "timm/vit_small_patch14_336_dinov2", 336),
    "surgenet-dino-v2-b": _dino(2, "b", "timm/vit_base_patch14_336_dinov2", 336),
    "surgenet-dino-v2-l": _dino(2, "l", "timm/vit_large_patch14_336_dinov2", 336),
    "surgenet-dino-v3-s": _dino(3, "s", "timm/vit_small_patch16_336_dinov3_noreg", 336),
    "surgenet-dino-v3-b": _dino(3, "b", "timm/vit_base_patch16_336_dinov3_noreg", 336),
    "surgenet-dino-v3-l": _dino(3, "l", "timm/vit_large_patch16_336_dinov3_noreg", 336),
    "selfsupsurg-moco": _selfsupsurg("moco_v2"),
    "selfsupsurg-simclr": _selfsupsurg("simclr"),
    "selfsupsurg-swav": _selfsupsurg("swav"),
    "selfsupsurg-dino": _selfsupsurg("dino"),
    "surgvlp": _surgvlp(),
    "hecvl": _surgvlp(),
    "peskavlp": _surgvlp(),
}
"""By the name that backbone.weights gives them, alone or before the path of a file."""


def encoder_of(weights: str) -> tuple[Encoder | None, str]:
    """The encoder that backbone.weights names, and the path of its file, which may be empty.

    Args:
        weights: For example `lemonfm`, `lemonfm:/path/file.pth`, or anything else.
    """
    name, _, path = weights.partition(":")
    return ENCODERS.get(name), path
