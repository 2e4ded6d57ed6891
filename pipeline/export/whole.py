"""Parts of networks over a whole video, in a form whose length torch.export leaves open.

They read one video without padding. Each class below stands in for the one that it derives from,
whose weights it reads; results equal those of the original within rounding.
"""

from copy import deepcopy

import torch
from torch import nn
from torch.nn import functional

from pipeline.networks.temporal import asformer, conv_bilstm, rnn, row_bilstm, tunes
from pipeline.networks.temporal.contract import Outputs, State, TemporalModule

# Frames that a block of queries has at least, as in training.
_BLOCK = 64


def attended(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    before: int,
    after: int,
) -> torch.Tensor:
    """Attention of frame t to the frames from t - before to t + after.

    As windowed_attention, but for the size of a block, which there depends on the length.

    Args:
        query: (1, H, T, d), as key and value.
        key: Of the frames.
        value: Of the frames.
        mask: (1, T) bool, true.
        before: Frames back.
        after: Frames ahead.

    Returns:
        (1, H, T, d).
    """
    reach = before + after
    block = max(reach, _BLOCK)
    # A block more than needed: torch.export takes a number that can be 1 for a constant.
    behind = 2 * block - 1

    def cut(x: torch.Tensor) -> torch.Tensor:
        """(1, H, T, d) to (H, blocks, block + reach, d)."""
        x = functional.pad(x, (0, 0, before, after + behind))
        return x.unfold(2, block + reach, block)[0].transpose(2, 3)

    there = functional.pad(mask, (before, after + behind)).unfold(1, block + reach, block)
    row = torch.arange(block)[:, None]
    column = torch.arange(block + reach)
    near = (column >= row) & (column <= row + reach)
    # A frame always sees itself: a row behind the end would be NaN without any key.
    allowed = there[0, :, None] & near | (column == row + before)  # (blocks, block, block + reach)
    queries = functional.pad(query, (0, 0, 0, behind)).unfold(2, block, block)[0]
    y = functional.scaled_dot_product_attention(
        queries.transpose(2, 3), cut(key), cut(value), attn_mask=allowed[None]
    )
    return y.flatten(1, 2)[None, :, torch.arange(query.shape[2])]


class WholeWindowedAttention(asformer.WindowedAttention):
    """The attention of an ASFormer."""

    def forward(
        self, x: torch.Tensor, source: torch.Tensor, mask: torch.Tensor, past: State | None
    ) -> tuple[torch.Tensor, State]:
        """Queries and keys from x, values from source, (1, M, T) each, to (1, M, T)."""
        query, key, value = (
            part.transpose(1, 2)[:, None]  # one head: (1, 1, T, M / 2)
            for part in (self.query(x), self.key(x), self.value(source))
        )
        y = attended(query, key, value, mask, self.before, self.after)
        return self.leave(functional.relu(y[:, 0].transpose(1, 2))), ()


class WholeAttention(rnn.Attention):
    """The attention of a recurrent network."""

    def forward(
        self, y: torch.Tensor, mask: torch.Tensor, past: State | None
    ) -> tuple[torch.Tensor, State]:
        """Hidden states (1, T, H) to vectors (1, T, H)."""
        found = attended(self.query(y)[:, None], y[:, None], y[:, None], mask, self.before, 0)
        return torch.tanh(self.join(torch.cat((found[:, 0], y), dim=2))), ()


class WholeRecurrentNetwork(rnn.RecurrentNetwork):
    """A recurrent network."""

    def _recur(
        self, x: torch.Tensor, mask: torch.Tensor, state: State | None
    ) -> tuple[torch.Tensor, State | None]:
        return recurred(self.recurrent, x, mask), None


class WholeConvBiLstm(conv_bilstm.ConvBiLstm):
    """A convolution and a bidirectional LSTM."""

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork."""
        y = functional.relu(self.conv(self.standardise(features).transpose(1, 2)))
        every = features.new_ones(features.shape[:2], dtype=torch.bool)
        y = self.norm(y.transpose(1, 2), every).transpose(1, 2)
        # A pair more than there is, so that there are two at least: torch.export takes a number
        # that can be 1 for a constant.
        length = features.shape[1]
        first = 2 * torch.arange((length + 3) // 2)
        y = functional.pad(y, (0, 3), value=-torch.inf)
        there = first < length
        y = torch.maximum(y[:, :, first], y[:, :, first + 1]).masked_fill(~there, 0)
        y = recurred(self.lstm, y.transpose(1, 2), there[None])
        return Outputs([self.head(y[:, torch.arange(length) // 2])], None)


class WholeRowBiLstm(row_bilstm.RowBiLstm):
    """A network that reads each frame by itself: all frames at once."""

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork."""
        return Outputs([self.head(self._read(self.standardise(features)[0]))[None]], None)


class WholeTunes(tunes.Tunes):
    """TUNeS that looks both ways."""

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor, state: State | None = None
    ) -> Outputs:
        """See TemporalNetwork."""
        levels = sum(isinstance(part, tunes.Level) for part in self.net.modules())
        # Padding changes nothing, and with it there are two columns at least at every rate:
        # torch.export takes a number that can be 1 for a constant.
        padding = int(2 ** (levels + 1))
        outputs = super().forward(
            functional.pad(features, (0, 0, 0, padding)), functional.pad(mask, (0, padding))
        )
        return Outputs([logits[:, : features.shape[1]] for logits in outputs.logits], None)


class WholeLevel(tunes.Level):
    """A level of TUNeS that looks both ways."""

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, state: State | None
    ) -> tuple[torch.Tensor, State]:
        """Maps (1, M, T) to (1, M, T)."""
        frames = mask[:, None].to(x.dtype)
        skip, _ = self.before(x, frames, None)
        low = self.halve(functional.pad(skip, (1, 1)))
        pairs = torch.arange(low.shape[2])
        low, _ = self.inner(low, mask[:, 2 * pairs], None)
        low = low[:, :, torch.arange(x.shape[2]) // 2]
        y, _ = self.after(self.join(torch.cat((skip, low), dim=1)) * frames, frames, None)
        return y, ()


def recurred(layers: nn.LSTM | nn.GRU, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Recurrent layers in evaluation mode: (1, T, D) to (1, T, H), or 2 H of both directions.

    torch.export writes out torch's own layers frame by frame, for one length. Here the loop over
    frames is an operator, Scan in ONNX.

    Args:
        layers: With biases.
        x: (1, T, D).
        mask: (1, T) bool, true for frames, false for the padding at the end.
    """
    y = x.transpose(0, 1)  # (T, 1, D)
    there = mask.to(x.dtype).transpose(0, 1)[:, :, None].clone()  # scan takes no view
    weights = iter(layers.all_weights)
    for _ in range(layers.num_layers):
        ways = [_one_way(layers, y, there, next(weights))]
        if layers.bidirectional:
            ways.append(_one_way(layers, y.flip(0), there.flip(0), next(weights)).flip(0))
        y = torch.cat(ways, dim=2)
    return y.transpose(0, 1)


def _one_way(
    layers: nn.LSTM | nn.GRU, x: torch.Tensor, there: torch.Tensor, weights: list[nn.Parameter]
) -> torch.Tensor:
    """Outputs (T, 1, H) of one direction of one layer, with the equations of torch.nn."""
    from torch._higher_order_ops.scan import scan

    w_ih, w_hh, b_ih, b_hh = weights
    h = x.new_zeros(1, layers.hidden_size)

    def lstm(
        carried: tuple[torch.Tensor, ...], frame: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        (h, c), (gates, there) = carried, frame
        i, f, g, o = (gates + functional.linear(h, w_hh, b_hh)).chunk(4, dim=1)
        c = (f.sigmoid() * c + i.sigmoid() * g.tanh()) * there
        h = o.sigmoid() * c.tanh()
        return (h, c), h.clone()  # an operator must not return one tensor twice

    def gru(
        carried: tuple[torch.Tensor, ...], frame: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        (h,), (gates, there) = carried, frame
        x_r, x_z, x_n = gates.chunk(3, dim=1)
        h_r, h_z, h_n = functional.linear(h, w_hh, b_hh).chunk(3, dim=1)
        n = (x_n + (x_r + h_r).sigmoid() * h_n).tanh()
        h = (n + (x_z + h_z).sigmoid() * (h - n)) * there
        return (h,), h.clone()

    is_lstm = isinstance(layers, nn.LSTM)
    start = (h, h.clone()) if is_lstm else (h,)
    y: torch.Tensor
    _, y = scan(lstm if is_lstm else gru, start, (functional.linear(x, w_ih, b_ih), there))
    return y


_WHOLE: dict[type[nn.Module], type[nn.Module]] = {
    asformer.WindowedAttention: WholeWindowedAttention,
    rnn.Attention: WholeAttention,
    rnn.RecurrentNetwork: WholeRecurrentNetwork,
    conv_bilstm.ConvBiLstm: WholeConvBiLstm,
    row_bilstm.RowBiLstm: WholeRowBiLstm,
    tunes.Tunes: WholeTunes,
    tunes.Level: WholeLevel,
}


def of_any_length(network: TemporalModule) -> TemporalModule:
    """A copy of a network in evaluation mode for one video of any length.

    Args:
        network: One that looks both ways, or that is made of torch's recurrent layers.
    """
    copied = deepcopy(network).requires_grad_(False)
    for module in copied.modules():
        module.__class__ = _WHOLE.get(type(module), type(module))
    return copied
