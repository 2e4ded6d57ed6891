"""The loss of a batch of frames, as a sum that parts of a batch can share."""

import torch
from torch.nn import functional

from pipeline.backbone.params_finetune import FinetuneParams


def batch_loss(
    logits: tuple[torch.Tensor, torch.Tensor],
    phase: torch.Tensor,
    tools: torch.Tensor,
    weights: torch.Tensor,
    whole: tuple[float, float],
    params: FinetuneParams,
) -> torch.Tensor:
    """The part of the step's loss that these frames contribute.

    Every part divides by the weight of the whole step, not by its own: the sum over parts is then
    the loss of the step however it is cut, over forward passes or over devices.

    Args:
        logits: Of phases (B, C) and of tools (B, K).
        phase: (B,) classes.
        tools: (B, K) of 0 and 1, NaN where unlabelled.
        weights: (C,) per class.
        whole: Sum of the class weights of the step's frames, and number of its tool labels.
        params: The section `backbone.finetune`.

    Returns:
        Scalar.
    """
    phase_logits, tool_logits = logits[0].float(), logits[1].float()
    if params.loss == "focal":
        # Lin et al., "Focal Loss for Dense Object Detection", 2017, equation 5.
        log_p = functional.log_softmax(phase_logits, dim=1).gather(1, phase[:, None])[:, 0]
        terms = -weights[phase] * (1 - log_p.exp()) ** params.focal_gamma * log_p
        loss = terms.sum() / whole[0]
    else:
        loss = (
            functional.cross_entropy(
                phase_logits,
                phase,
                weights,
                reduction="sum",
                label_smoothing=params.label_smoothing,
            )
            / whole[0]
        )
    if tool_logits.shape[1]:
        known = ~torch.isnan(tools)
        terms = functional.binary_cross_entropy_with_logits(
            tool_logits, torch.nan_to_num(tools), reduction="none"
        )
        loss = loss + params.tools * (terms * known).sum() / max(whole[1], 1)
    return loss
