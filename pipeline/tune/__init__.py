"""A search over parameters, each trial a DVC experiment: `python -m pipeline tune SPACE.yaml`."""
