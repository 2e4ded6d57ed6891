"""Frames through the backbone, once, to features/<video>.h5."""
