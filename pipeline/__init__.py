"""Surgical video in, phases and a report out."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.predict.predictor import Predictor

__all__ = ["Predictor"]


def __getattr__(name: str) -> object:
    # Here and not above, because torch takes seconds to load, which most commands do without.
    if name == "Predictor":
        from pipeline.predict.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
