"""Rows less their mean over the frames of their own video, in training as in evaluation.

Videos differ as a whole: in lighting, camera or patient. Statistics of all training videos leave
that in, and a network that learns a few videos by heart then fails on those that are shifted
against them. It is the mean of InstanceNorm (Ulyanov et al., "Instance Normalization", 2016), and
causal where it is that of the frames so far. Deviations are left to the norms that follow.
"""

import torch
from torch import nn

from pipeline.networks.temporal.blocks.scan import Scan

# The mean of the frames so far counts this many frames of zeros, the mean of all training videos:
# the first frame would otherwise be zero itself, and the next ones little but noise.
_PRIOR = 10

# Of the frames so far: their number and the sums of the maps, (B, 1 + M).
Past = torch.Tensor


class VideoMean(nn.Module):
    """Each map less its mean in the video, and a learnt shift.

    Args:
        width: M, maps.
        causal: The mean of the frames so far, the present one included; otherwise of all.
    """

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(
        self, rows: torch.Tensor, mask: torch.Tensor, past: Past | None
    ) -> tuple[torch.Tensor, Past | None]:
        """Rows (B, T, M) to float32 rows, zero in padding, and the past of the frames that follow.

        Args:
            rows: With mean zero over all training videos.
            mask: (B, T) bool, true for frames.
            past: What the call on the frames before returned; None at a video's start, and where it
                is not causal.
        """
        frames = mask[:, :, None]
        x = rows.to(self.bias.dtype)  # bfloat16 would lose what hours add up to
        seen = torch.cat((torch.ones_like(x[:, :, :1]), x), dim=2) * frames
        if self.causal:
            start = torch.zeros_like(seen[:, 0]) if past is None else past
            seen = Scan.apply(torch.ones_like(seen), seen, start)  # (B, T, 1 + M)
            past = seen[:, -1]
            mean = seen[:, :, 1:] / (seen[:, :, :1] + _PRIOR)
        else:
            seen = seen.sum(dim=1, keepdim=True)
            mean = seen[:, :, 1:] / seen[:, :, :1].clamp(min=1)
        return (x - mean + self.bias) * frames, past
