"""Two reports of the same test videos compared: `python -m pipeline compare A B`."""
