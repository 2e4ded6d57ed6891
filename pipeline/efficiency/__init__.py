"""What the models cost on this machine: `python -m pipeline efficiency`."""
