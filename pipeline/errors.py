"""What a user can mend. Printed without a traceback; everything else keeps its own."""


class PipelineError(Exception):
    """Names the file, the line or key, what was found, what is allowed and what to do."""


class VideoError(PipelineError):
    """A video that cannot be read as a whole.

    Attributes:
        video: Identifier of the video.
        reason: What is wrong with its file and the way out, in one sentence.
    """

    def __init__(self, video: str, reason: str) -> None:
        super().__init__(f"{video}: {reason}")
        self.video = video
        self.reason = reason

    def __reduce__(self) -> tuple[type["VideoError"], tuple[str, str]]:
        # Exceptions with two arguments do not survive the way back from a worker otherwise.
        return type(self), (self.video, self.reason)
