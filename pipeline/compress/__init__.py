"""Smaller backbones out of a large one: channels pruned, or a small network taught its features."""
