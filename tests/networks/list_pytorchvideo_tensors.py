"""Writes pytorchvideo_tensors.txt: what the files that PyTorchVideo publishes hold.

Names and shapes are those of the networks that pytorchvideo 0.1.5 builds for its files. It and the
packages fvcore and iopath need not be installed; their unpacked sources are enough:

    PYTHONPATH=pytorchvideo-0.1.5:fvcore-0.1.5:iopath-0.1.10 python list_pytorchvideo_tensors.py

Tensors that differ in the number of their block only share a line, which ends with the numbers.
"""

import re
from pathlib import Path

from pytorchvideo.models.hub import r2plus1d_r50, slowfast_r50, slowfast_r101, x3d_l, x3d_xs

NETWORKS = {
    "x3d_xs x3d_s x3d_m": x3d_xs,
    "x3d_l": x3d_l,
    "slowfast_r50": slowfast_r50,
    "slowfast_r101": slowfast_r101,
    "r2plus1d_50": r2plus1d_r50,
}
_BLOCK = re.compile(r"res_blocks\.(\d+)")


def lines(tensors):
    rows: dict[tuple[str, str], list[str]] = {}
    for name, tensor in tensors.items():
        shape = "x".join(map(str, tensor.shape)) or "scalar"
        numbers = rows.setdefault((_BLOCK.sub("res_blocks.*", name), shape), [])
        numbers += _BLOCK.findall(name)
    for (name, shape), numbers in rows.items():
        yield " ".join([name, shape, *([",".join(numbers)] if numbers else [])])


def main():
    parts = []
    for names, build in NETWORKS.items():
        parts.append("\n".join([f"[{names}]", *lines(build().state_dict())]))
    Path(__file__).with_name("pytorchvideo_tensors.txt").write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
