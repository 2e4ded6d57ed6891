"""The section `evaluate` of params.yaml."""

from typing import Literal

from pydantic import Field

from pipeline.settings import Number, Section


class EvaluateParams(Section):
    """How predictions are scored.

    Attributes:
        relaxed_seconds: Tolerance at transitions of the relaxed metrics; 10 in the challenge.
        bootstrap: Draws of videos for the 95 % intervals; 0: no intervals.
        map: How the map of features is made: `pca`, or `umap` (`pip install
            'surgical-phase-pipeline[umap]'`).
    """

    relaxed_seconds: Number = Field(10, ge=0)
    bootstrap: int = Field(2000, ge=0)
    map: Literal["pca", "umap"] = "pca"
