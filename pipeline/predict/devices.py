"""Where videos are predicted at the same time."""

from pipeline.runtime import cores

# One video keeps this many cores busy.
_CORES_PER_VIDEO = 8


def devices_for(device: str, jobs: int) -> list[str]:
    """The device of each video that is predicted at the same time.

    Args:
        device: "auto", or the only one to be used.
        jobs: Videos at once; 0: one per GPU, on a processor one per eight cores.
    """
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto" and gpus:
        return [f"cuda:{number % gpus}" for number in range(jobs or gpus)]
    if device.startswith("cuda"):
        return [device] * (jobs or 1)
    return ["cpu"] * (jobs or max(1, cores() // _CORES_PER_VIDEO))
