"""What is said beside the predictions."""

import sys


def say(line: str) -> None:
    """One line on standard error, at once."""
    print(f"stream: {line}", file=sys.stderr, flush=True)
