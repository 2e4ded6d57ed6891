"""The command `view`: a page that plays a video with its phases and takes corrections."""
