"""The section `postprocess` of params.yaml."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.settings import PARAMS, Number, Section, check_section, read_params


class PostprocessParams(Section):
    """What is done to the network's output; docs/postprocessing.md has the same in more words.

    Attributes:
        kind: The method: median.py, min_duration.py, or viterbi.py, whose online variant is
            forward.py.
        online: The variant that sees the past only; min_duration has none.
        seconds: Of median, the window; of min_duration and viterbi, the shortest run. null: the one
            of SECONDS (fit.py) with the highest macro F1 on the validation videos.
        temperature: The logits are divided by a number fitted on the validation videos.
    """

    kind: Literal["none", "median", "min_duration", "viterbi"] = "none"
    online: bool = False
    seconds: Number | None = Field(None, ge=0)
    temperature: bool = False

    @model_validator(mode="after")
    def _is_possible_online(self) -> Self:
        if self.kind == "min_duration" and self.online:
            raise ValueError(
                "online is true, but kind: min_duration needs the whole video. Set online: false, "
                "or kind: median or viterbi"
            )
        return self

    @property
    def is_on(self) -> bool:
        """Whether anything is done."""
        return self.kind != "none" or self.temperature

    @property
    def fitted_to(self) -> str | None:
        """The key and value that need validation videos; None where they need none."""
        if self.temperature:
            return "postprocess.temperature is true"
        if self.kind != "none" and self.seconds is None:
            return "postprocess.seconds is null"
        return None


def read_postprocess(path: Path = PARAMS) -> PostprocessParams:
    """The section `postprocess`; nothing is done where params.yaml has none.

    Raises:
        PipelineError: An unknown key or an impossible value.
    """
    found = read_params(path).get("postprocess") or {}
    return check_section(PostprocessParams, "postprocess", found, path)
