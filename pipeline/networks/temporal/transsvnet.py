"""Trans-SVNet: a transformer that asks the last logits of a TCN about the present frame.

Gao et al., "Trans-SVNet: Accurate Phase Recognition from Surgical Videos via Hybrid Embedding
Aggregation Transformer", MICCAI 2021. In the first training phase a TeCNO (Czempiel et al., MICCAI
2020) is trained; in the second it is frozen, without dropout, and a transformer learns: an encoder
over the TCN's logits of the last 30 frames, and a decoder whose query is tanh(linear(feature)) of
the present frame. Both have 8 heads of as many units as the TCN has maps. Causal; receptive field
1,050 frames. Departures: the layer norms are trained, which the published code makes anew on every
forward pass; before a video's start nothing is attended to, where the published code attends to
zeros; features are standardised by the training videos. The paper trains the second phase with Adam
at 1e-3 for 25 epochs; here train.lr and train.epochs hold for both.
"""

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from pipeline.networks.temporal.blocks.tcn import refined, residual_stage
from pipeline.networks.temporal.contract import Outputs, State, TemporalModule
from pipeline.settings import Number, Section

# Windows that go through the transformer at once: 1,024 of 30 frames are 30 MB in each head.
_AT_ONCE = 1024
_HEADS = 8


class Params(Section):
    """The numbers of Trans-SVNet; the defaults are the paper's.

    Attributes:
        stages: Of the TCN, predictor and refinements together.
        layers: Dilated layers of each.
        maps: Feature maps of the TCN, and units of each head and of the feed-forward networks.
        dropout: In each layer of the TCN.
        window: Frames, the present one included, whose logits the transformer reads.
    """

    stages: int = Field(2, ge=1)
    layers: int = Field(8, ge=1, le=14)
    maps: int = Field(32, ge=1)
    dropout: Number = Field(0.5, ge=0, lt=1)
    window: int = Field(30, ge=1)


def build(dim: int, num_classes: int, params: Params) -> "TransSvnet":
    """An untrained network for D features and C classes."""
    return TransSvnet(
        dim,
        num_classes,
        stages=params.stages,
        layers=params.layers,
        maps=params.maps,
        dropout=params.dropout,
        window=params.window,
    )


class AttentionLayer(nn.Module):
    """Attention of 8 heads and a feed-forward network, each with a residual and a layer norm.

    Args:
        classes: C, length of the rows.
        units: Of each head and of the feed-forward network.
    """

    def __init__(self, classes: int, units: int) -> None:
        super().__init__()
        self.query = nn.Linear(classes, _HEADS * units, bias=False)
        self.key = nn.Linear(classes, _HEADS * units, bias=False)
        self.value = nn.Linear(classes, _HEADS * units, bias=False)
        self.leave = nn.Linear(_HEADS * units, classes, bias=False)
        self.attention_norm = nn.LayerNorm(classes)
        self.feed_forward = nn.Sequential(
            nn.Linear(classes, units, bias=False),
            nn.ReLU(),
            nn.Linear(units, classes, bias=False),
        )
        self.feed_forward_norm = nn.LayerNorm(classes)

    def forward(self, x: torch.Tensor, rows: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """Rows x (N, Q, C) that ask, and rows (N, K, C) that answer where there, to (N, Q, C)."""
        query, key, value = (
            part.unflatten(2, (_HEADS, -1)).transpose(1, 2)  # (N, heads, Q or K, units)
            for part in (self.query(x), self.key(rows), self.value(rows))
        )
        y = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=there[:, None, None]
        )
        x = self.attention_norm(x + self.leave(y.transpose(1, 2).flatten(2)))
        x = self.feed_forward_norm(x + self.feed_forward(x))
        return x


class TransSvnet(TemporalModule):
    """TeCNO, and a transformer over its last logits.

    Args:
        dim: D, length of the feature vector.
        num_classes: C.
        stages: Of the TCN, predictor and refinements together.
        layers: Dilated layers of each.
        maps: Feature maps of the TCN, and units of each head.
        dropout: In each layer of the TCN.
        window: Frames, the present one included, whose logits the transformer reads.
    """

    causal = True
    training_phases = ("tcn", "transformer")

    def __init__(
        self,
        dim: int,
        num_classes: int,
        stages: int,
        layers: int,
        maps: int,
        dropout: float,
        window: int,
    ) -> None:
        super().__init__(dim, num_classes)
        self.receptive_field = stages * 2 * (int(2**layers) - 1) + window
        self.window = window
        self.tcn = nn.ModuleList(
            residual_stage(inputs, num_classes, layers, maps, dropout, causal=True)
            for inputs in (dim, *[num_classes] * (stages - 1))
        )
        self.query = nn.Linear(dim, num_classes, bias=False)
        self.encoder = AttentionLayer(num_classes, maps)
        self.decoder = AttentionLayer(num_classes, maps)
        self.begin_phase("transformer")

    def begin_phase(self, name: str) -> None:
        """Freeze the TCN, or the transformer; in phase "tcn" the TCN's logits are the output."""
        self.phase = name
        for part in (self.tcn, self.query, self.encoder, self.decoder):
            part.requires_grad_((part is self.tcn) == (name == "tcn"))
        self.train(self.training)

    def train(self, mode: bool = True) -> "TransSvnet":
        """Training mode but for a frozen TCN, whose dropout stays off."""
        super().train(mode)
        self.tcn.train(mode and self.phase == "tcn")
        return self

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork; the state holds that of the TCN and its last logits."""
        x = self.standardise(features)  # (B, T, D)
        tcn_state, past = state or (None, None)
        logits, tcn_state = refined(self.tcn, x, mask, tcn_state)
        rows = logits[-1] if past is None else torch.cat((past, logits[-1]), dim=1)
        state = (tcn_state, rows[:, max(rows.shape[1] - self.window + 1, 0) :])
        if self.phase == "tcn":
            return Outputs(logits, state)
        return Outputs([self._transformed(torch.tanh(self.query(x)), rows)], state)

    def _transformed(self, query: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, C): each frame's query, asked of a window of rows that ends at the frame.

        Args:
            query: (B, T, C).
            rows: Logits of the TCN, (B, P + T, C), P of them of the past.
        """
        batch, length, classes = query.shape
        missing = self.window - 1 + length - rows.shape[1]
        there = torch.arange(self.window - 1 + length, device=rows.device) >= missing
        there = there.unfold(0, self.window, 1).repeat(batch, 1)  # (B * T, window)
        windows = functional.pad(rows, (0, 0, missing, 0)).unfold(1, self.window, 1)
        windows = windows.flatten(0, 1).transpose(1, 2)  # (B * T, window, C)
        query = query.reshape(batch * length, 1, classes)
        parts = []
        for first in range(0, batch * length, _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            encoded = self.encoder(windows[some], windows[some], there[some])
            parts.append(self.decoder(query[some], encoded, there[some]))
        return torch.cat(parts).view(batch, length, classes)
