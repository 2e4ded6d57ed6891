"""What is fine-tuned on what."""

from dataclasses import dataclass

import torch

from pipeline.backbone.classifier import FrameClassifier
from pipeline.backbone.labelled_frames import LabelledFrames
from pipeline.backbone.params_finetune import FinetuneParams
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.transform import Transform
from pipeline.seeding import derived_seed, seed_everything


@dataclass(frozen=True)
class FineTuning:
    """A training and all that decides it; can be sent to another process.

    Attributes:
        name: Of the backbone.
        tensors: Its initial weights.
        transform: What the network sees of a frame, at the crop of training.
        training: Frames to learn from, all labelled.
        validation: Frames to choose the weights by, all labelled, never augmented; empty only
            where params.early_stop is 0.
        num_classes: C.
        params: The section `backbone.finetune`.
        seed: Of everything random.
    """

    name: str
    tensors: dict[str, torch.Tensor]
    transform: Transform
    training: LabelledFrames
    validation: LabelledFrames
    num_classes: int
    params: FinetuneParams
    seed: int

    @property
    def num_tools(self) -> int:
        """K, the tools that are learnt beside the classes."""
        return int(self.training.tools.shape[1])

    def build_classifier(self) -> FrameClassifier:
        """The network before its training: initial weights, and heads drawn from the seed."""
        seed_everything(derived_seed(self.seed, "head"))
        network = FrameClassifier(
            build_backbone(self.name),
            self.transform,
            self.num_classes,
            self.num_tools,
            self.params.head,
            self.params.checkpointing,
        )
        network.backbone.load_state_dict(self.tensors)
        return network
