"""How much a frame's features tell about its phase, for one backbone or several."""
