"""What is wrong on this machine or with params.yaml, and how to mend it."""

import importlib.metadata
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from pipeline.all_params import AllParams, check_params
from pipeline.clips import clips_of
from pipeline.errors import PipelineError
from pipeline.index.layouts import GIVEN_FEATURES
from pipeline.result_store import results_root
from pipeline.runtime import cores

# A JPEG at quality 95 and 454 x 256 (PERFORMANCE of the frames stage) and a float16 feature vector.
_BYTES_PER_FRAME = 30_000 + 2 * 2048
# The store, DVC's cache and the workspace hold a copy each where the file system has no reflinks.
_COPIES = 3
_PACKAGES = ("torch", "torchvision", "decord", "av", "h5py", "numpy", "pandas", "dvc", "dvclive")


def examine(say: Callable[[str], None] = print) -> bool:
    """Print one line per check: `ok`, `note` or `WRONG` with the way to mend it.

    Returns:
        Whether nothing was wrong.
    """
    say(f"ok     Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    say(f"ok     {', '.join(_version(package) for package in _PACKAGES)}")
    checks = [_gpu, _decoders, _repository]
    problems = [problem for check in checks for problem in check(say)]
    try:
        params = check_params()
    except PipelineError as error:
        problems.append(str(error))
    else:
        say("ok     params.yaml")
        if params.data.layout not in GIVEN_FEATURES:
            _sizes(params, say)
        problems += _data(params, say)
    for problem in problems:
        say(f"WRONG  {problem}")
    say(f"{len(problems)} problems" if problems else "all is well")
    return not problems


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} missing"


def _gpu(say: Callable[[str], None]) -> list[str]:
    import torch

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(number)
            say(f"ok     GPU {properties.name}, {properties.total_memory / 1e9:.0f} GB")
    else:
        say(f"note   no GPU that torch sees; {cores()} cores will do, more slowly")
    return []


def _decoders(say: Callable[[str], None]) -> list[str]:
    import av

    libraries = ", ".join(
        f"{name} {'.'.join(map(str, version))}" for name, version in av.library_versions.items()
    )
    say(f"ok     PyAV with {libraries}")
    try:
        import decord
    except ImportError:
        say("note   decord has no wheel for this machine; PyAV reads the videos instead")
    else:
        say(f"ok     decord {decord.__version__}")
    return []


def _repository(say: Callable[[str], None]) -> list[str]:
    problems = []
    if not Path("dvc.yaml").is_file():
        problems.append("no dvc.yaml here: change to the folder that holds it")
    if not Path(".git").exists():
        problems.append("no git repository here: `git init`, or `dvc exp` cannot tell runs apart")
    elif subprocess.run(
        ["git", "rev-parse", "--verify", "-q", "HEAD"], capture_output=True, check=False
    ).returncode:
        problems.append("this git repository has no commit, which dvclive needs: `git commit`")
    free = shutil.disk_usage(".").free
    say(f"ok     {free / 1e9:.0f} GB free, store in {results_root()}")
    return problems


def _sizes(params: AllParams, say: Callable[[str], None]) -> None:
    from pipeline.networks.backbones import resize_px

    backbone, stored_px = params.backbone, params.frames.short_side
    # Networks side by side each resize frames in their own way, fused ones as the first does.
    seen = backbone.parts if backbone.side_by_side else backbone.parts[:1]
    wanted_px, name = max(
        (resize_px(name, weights, params.features.crop), name) for name, weights in seen
    )
    if stored_px < wanted_px:
        say(
            f"note   frames.short_side is {stored_px}, but {name} sees frames of "
            f"{wanted_px} px: they would be enlarged, which adds no detail. Set frames.short_side: "
            f"{wanted_px}, or a smaller features.crop"
        )


def _data(params: AllParams, say: Callable[[str], None]) -> list[str]:
    from pipeline.index.stage import survey

    root = Path(params.data.root)
    if root == Path("data/demo/operations") and not root.exists():
        say("note   the demo is not rendered yet; `dvc repro` does it")
        return []
    try:
        hours, videos, lines = survey()
    except PipelineError as error:
        return str(error).splitlines()
    found = f"{videos} images" if params.task.of_images else f"{videos} videos, {hours:.1f} h"
    say(f"ok     {root}: {found}, layout {params.data.layout}")
    for line in lines:
        say(f"note   {line}")
    if not root.is_absolute() and root.parts[0] != "data":
        say(f"note   data.root {root} is relative: `dvc exp run --queue` needs an absolute path")
    rate, clip = params.frames.rate, params.backbone.clip
    if clip is not None:
        rate = clips_of(rate, clip)[0]
    if params.data.layout in GIVEN_FEATURES:
        return []  # as large as they are already, and no frames
    frames = videos if params.task.of_images else hours * 3600 * float(rate)
    needed = frames * _BYTES_PER_FRAME * _COPIES
    free = shutil.disk_usage(".").free
    if needed > free:
        return [
            f"disk: frames and features need about {needed / 1e9:.0f} GB, {free / 1e9:.0f} GB are "
            "free. Lower frames.fps or frames.short_side, or move the repository"
        ]
    say(f"ok     frames and features will need about {needed / 1e9:.1f} GB")
    return []
