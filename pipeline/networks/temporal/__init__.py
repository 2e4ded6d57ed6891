"""The kinds of temporal networks, by the name that `model.kind` in params.yaml gives them."""

from pipeline.networks.temporal import rnn, tecno
from pipeline.networks.temporal.contract import Kind

KINDS: dict[str, Kind] = {
    "rnn": rnn,
    "tecno": tecno,
}
