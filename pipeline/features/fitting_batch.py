"""Videos written with the largest batch that the memory of a GPU allows."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch

from pipeline.errors import PipelineError
from pipeline.features.build import Plan, Say, build_writer
from pipeline.features.video import FileWriter, MissingVideo, write_video


@dataclass
class FittingWriter:
    """Writes videos one by one; halves runtime.batch where the device runs out of memory.

    The smaller batch stays for the videos that follow. Features keep all but their last bits, as
    with a smaller runtime.batch from the start; a CPU's batch is always the same.

    Attributes:
        plan: What to build.
        device: Where it runs.
        pool: Threads that prepare images.
        say: Takes lines for the terminal.
    """

    plan: Plan
    device: torch.device
    pool: ThreadPoolExecutor
    say: Say
    _writer: FileWriter | None = None

    def __call__(self, video: MissingVideo) -> str:
        """Write the features of one video.

        Returns:
            A note for the terminal.

        Raises:
            PipelineError: As write_video, and for memory only where a batch of one is too much.
        """
        while True:
            try:
                if self._writer is None:
                    self._writer = build_writer(self.plan, self.device, self.pool, self.say)
                return write_video(video, self._writer, self.pool)
            except PipelineError as error:
                if self.plan.runtime.batch == 1 or not _out_of_memory(error):
                    raise
            # After the handler, because the error holds what lies in the memory.
            self._halve()

    def _halve(self) -> None:
        self._writer = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        runtime = self.plan.runtime
        smaller = runtime.model_copy(update={"batch": runtime.batch // 2})
        self.plan = replace(self.plan, runtime=smaller)
        self.say(
            f"features: {self.device} is too small for runtime.batch: {runtime.batch}; "
            f"going on with {smaller.batch}"
        )


def _out_of_memory(error: BaseException) -> bool:
    """Whether the words of this error stand for torch's, from which they were made."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, torch.OutOfMemoryError):
        cause = cause.__context__
    return cause is not None
