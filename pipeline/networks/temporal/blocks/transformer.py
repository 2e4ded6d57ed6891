"""A layer of a transformer over time: causal within a window, or over the whole video."""

import torch
from torch import nn
from torch.nn import functional

from pipeline.networks.temporal.blocks.attention import last, windowed_attention, with_past

# Keys and values of the frames that the next one sees, (B, H, window - 1, d) each.
Cache = tuple[torch.Tensor, torch.Tensor]


class TransformerLayer(nn.Module):
    """Self-attention and feed-forward network, each behind a layer norm and with a residual.

    Vaswani et al., "Attention Is All You Need", 2017, with the norm in front (Xiong et al., "On
    Layer Normalization in the Transformer Architecture", 2020), which trains without a warm-up.

    Args:
        width: M, divisible by heads.
        heads: Of the attention.
        feed_forward: Units between the two linear layers.
        dropout: Of attention weights and of both branches.
        window: Frames, the present one included, that a frame attends to; None: all of the video.
    """

    def __init__(
        self, width: int, heads: int, feed_forward: int, dropout: float, window: int | None
    ) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.attention_norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.leave = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, feed_forward),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(feed_forward, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, cache: Cache | None
    ) -> tuple[torch.Tensor, Cache | None]:
        """Rows (B, T, M) to (B, T, M), and the cache for the frames that follow.

        Args:
            x: Rows.
            mask: (B, T) bool, true for frames.
            cache: What the call on the frames before returned; None at a video's start, and where
                there is no window.
        """
        y = self.project(self.attention_norm(x)).unflatten(2, (3, self.heads, -1))
        query, key, value = y.permute(2, 0, 3, 1, 4)  # (B, H, T, d) each
        dropout = self.dropout.p if self.training else 0.0
        if self.window is None:
            y = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=mask[:, None, None], dropout_p=dropout
            )
        else:
            before = self.window - 1
            key = with_past(key, cache[0] if cache else None)
            value = with_past(value, cache[1] if cache else None)
            cache = last(key, before), last(value, before)
            y = windowed_attention(query, key, value, mask, before, dropout=dropout)
        x = x + self.dropout(self.leave(y.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.feed_forward(x)), cache
