"""The command `explain`: pictures of what a prediction was made from."""
