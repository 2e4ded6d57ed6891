"""The command `overlay`: a copy of a video with its phases drawn into the picture."""
