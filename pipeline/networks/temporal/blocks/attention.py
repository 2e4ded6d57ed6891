"""Attention to the frames around each frame, at a cost that is linear in the length."""

import torch
from torch.nn import functional

# Frames that a block has at least: smaller ones would only mean more of them.
_BLOCK = 64


def windowed_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    before: int,
    after: int = 0,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Scaled dot-product attention of frame t to the frames from t - before to t + after.

    Queries are cut into blocks, and each block sees its own keys and those within reach: time and
    memory grow with T * (before + after), not with T * T.

    Args:
        query: (B, H, T, d).
        key: (B, H, P + T, d): P frames of the past, at most `before`, and then those of the query.
        value: (B, H, P + T, e).
        mask: (B, T) bool, true for frames; nothing attends to padding but padding itself.
        before: Frames back.
        after: Frames ahead.
        dropout: Of the attention weights.

    Returns:
        (B, H, T, e).
    """
    batch, heads, length, width = query.shape
    past = key.shape[2] - length
    reach = before + after
    block = min(length, max(reach, _BLOCK))
    blocks = -(-length // block)
    rest = blocks * block - length
    left, right = before - past, after + rest

    def cut(x: torch.Tensor) -> torch.Tensor:
        """(B, H, P + T, d) to (B * blocks, H, block + reach, d)."""
        x = functional.pad(x, (0, 0, left, right)).unfold(2, block + reach, block)
        return x.permute(0, 2, 1, 4, 3).flatten(0, 1)

    whole = functional.pad(mask, (past, 0), value=True)
    there = functional.pad(whole, (left, right)).unfold(1, block + reach, block)
    row = torch.arange(block, device=query.device)[:, None]
    column = torch.arange(block + reach, device=query.device)
    near = (column >= row) & (column <= row + reach)
    # A frame always sees itself: a row of padding without any key would be NaN.
    allowed = there[:, :, None] & near | (column == row + before)
    query = functional.pad(query, (0, 0, 0, rest)).view(batch, heads, blocks, block, width)
    y = functional.scaled_dot_product_attention(
        query.transpose(1, 2).flatten(0, 1),
        cut(key),
        cut(value),
        attn_mask=allowed.flatten(0, 1)[:, None],
        dropout_p=dropout,
    )
    y = y.view(batch, blocks, heads, block, -1).transpose(1, 2)
    return y.flatten(2, 3)[:, :, :length]


def with_past(x: torch.Tensor, past: torch.Tensor | None) -> torch.Tensor:
    """Rows (B, H, T, d) behind those of the past, if there are any."""
    return x if past is None else torch.cat((past, x), dim=2)


def last(x: torch.Tensor, count: int) -> torch.Tensor:
    """The last rows of (B, H, T, d), at most so many."""
    return x[:, :, max(x.shape[2] - count, 0) :]
