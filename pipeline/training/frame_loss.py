"""The loss of a batch of frames, as a sum that parts of a batch can share."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional

from pipeline.training.cross_entropy import summed_cross_entropy, summed_focal_loss


@dataclass(frozen=True)
class FrameLoss:
    """The loss of classes, and of tools where they are learnt too.

    Every part of a step divides by the weight of the whole step, not by its share of it: the sum
    over parts is then the loss of the step however it is cut, over forward passes or devices.

    Attributes:
        class_weights: (C,).
        kind: Cross-entropy, or focal, which counts frames that are already right less.
        label_smoothing: Of the cross-entropy.
        focal_gamma: Of the focal loss.
        tools: Weight of the mean binary cross-entropy of tool presence beside that of the classes.
    """

    class_weights: torch.Tensor
    kind: Literal["cross_entropy", "focal"]
    label_smoothing: float
    focal_gamma: float
    tools: float

    def __call__(
        self,
        logits: tuple[torch.Tensor, torch.Tensor],
        labels: torch.Tensor,
        tools: torch.Tensor,
        whole: tuple[float, float],
    ) -> torch.Tensor:
        """The part of the step's loss that these frames contribute.

        Args:
            logits: Of classes (B, C) and of tools (B, K).
            labels: (B,) classes.
            tools: (B, K) of 0 and 1, NaN where unlabelled.
            whole: Sum of the class weights of the step's frames, and number of its tool labels.

        Returns:
            Scalar.
        """
        class_logits, tool_logits = logits[0], logits[1].float()
        if self.kind == "focal":
            total = summed_focal_loss(class_logits, labels, self.class_weights, self.focal_gamma)
        else:
            total = summed_cross_entropy(
                class_logits, labels, self.class_weights, self.label_smoothing
            )
        loss = total / whole[0]
        if tool_logits.shape[1]:
            known = ~torch.isnan(tools)
            terms = functional.binary_cross_entropy_with_logits(
                tool_logits, torch.nan_to_num(tools), reduction="none"
            )
            loss = loss + self.tools * (terms * known).sum() / max(whole[1], 1)
        return loss
