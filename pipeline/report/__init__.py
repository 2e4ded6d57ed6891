"""What `python -m pipeline report` shows and draws of a finished evaluation."""
