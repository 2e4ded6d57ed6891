"""The kinds of temporal networks, by the name that `model.kind` in params.yaml gives them."""

from pipeline.networks.temporal import (
    asformer,
    conv_bilstm,
    linear,
    mlp,
    mstcn,
    mstcnpp,
    opera,
    rnn,
    row_bilstm,
    ssm,
    tecno,
    transsvnet,
    tunes,
)
from pipeline.networks.temporal.contract import Kind

KINDS: dict[str, Kind] = {
    "rnn": rnn,
    "tecno": tecno,
    "linear": linear,
    "mlp": mlp,
    "mstcn": mstcn,
    "mstcnpp": mstcnpp,
    "asformer": asformer,
    "transsvnet": transsvnet,
    "opera": opera,
    "tunes": tunes,
    "conv_bilstm": conv_bilstm,
    "ssm": ssm,
    "row_bilstm": row_bilstm,
}
