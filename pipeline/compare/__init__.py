"""Two reports of the same test videos, side by side: `python -m pipeline compare A B`."""
