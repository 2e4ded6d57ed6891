"""A folder of two videos with a table in the generic layout, and params.yaml beside it."""

from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.index import stage

PARAMS = """\
seed: 1
data: {{root: data/ours, layout: {layout}}}
split: {{{split}}}
runtime: {{progress: none}}
"""
LISTS = "scheme: lists, train: [v1], test: [v2]"


def settings(layout="csv", split="scheme: column"):
    Path("params.yaml").write_text(PARAMS.format(layout=layout, split=split))


def table(folder, *rows, header="video,start_s,end_s,phase,split"):
    (folder / "phases.csv").write_text("\n".join([header, *rows]) + "\n")


def fails(match):
    with pytest.raises(PipelineError, match=match):
        stage.run()
