"""Well-known recipes, as changes of params.yaml: `python -m pipeline recipe NAME`."""
