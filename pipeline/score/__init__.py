"""Predictions made by any program, scored: `python -m pipeline score PREDICTIONS TRUTH`."""
