"""How far bf16 features are from fp32, by where pixels are normalised.

    python benchmarks/bf16.py VIDEO [VIDEO ...] [--network resnet50] [--frames 12] [--seeds 2]

Networks are untrained; in the second group their batch norm has the statistics of these frames, as
after training. "spread" compares the error with how much the features of frames differ at all.
"""

import argparse
import copy
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import torch
from torch import nn

from pipeline.features.precision import in_bf16, in_fp32
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.contract import Backbone
from pipeline.runtime import cores

BATCH = 16


def pixels(paths: list[Path], count: int, backbone: Backbone) -> torch.Tensor:
    """(N, 3, H, W) uint8, so many frames of each video, one per second."""
    images = []
    for path in paths:
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number >= 25 * count:
                    break
                if number % 25 == 0:
                    image = cv2.resize(frame.to_ndarray(format="rgb24"), (454, 256))
                    images.append(torch.from_numpy(image).permute(2, 0, 1))
    return torch.stack([backbone.transform.prepare(image) for image in images])


@torch.inference_mode()
def features(network: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    return torch.cat([network(part).float() for part in images.split(BATCH)])


class InFp32(nn.Module):
    """A convolution that stays in fp32 within a network of bf16."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Its result in bf16."""
        result: torch.Tensor = self.convolution(images)
        return result.to(torch.bfloat16)


def first_in_fp32(folded: nn.Module) -> nn.Module:
    """All but the first convolution of a folded network in bf16."""
    border, network = copy.deepcopy(folded).children()
    image = next(node for node in network.graph.nodes if node.op == "placeholder")
    (first,) = image.users
    convolution = network.get_submodule(first.target)
    network = network.to(torch.bfloat16)
    network.set_submodule(first.target, InFp32(convolution.float()))
    return nn.Sequential(border, network)


def estimate_statistics(backbone: Backbone, images: torch.Tensor) -> None:
    """Give every batch norm the statistics of these images."""
    norms = [m for m in backbone.network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a mean over all batches
        norm.train()
    with torch.no_grad():
        for part in images.split(BATCH):
            backbone.network(backbone.transform.normalise(part))
    backbone.network.eval()


def show(title: str, backbone: Backbone, images: torch.Tensor) -> None:
    assert backbone.fold is not None
    transform = backbone.transform
    expected = features(in_fp32(backbone, transform), images)
    folded = backbone.fold(backbone.network, transform)
    variants = {
        "normalisation folded, bf16": copy.deepcopy(folded).to(torch.bfloat16),
        "first convolution in fp32": first_in_fp32(folded),
        # The last one, because it turns the network itself into bf16 where nothing is folded.
        "normalised in fp32 (features)": in_bf16(backbone, transform),
    }
    for name, network in variants.items():
        off = features(network.to(memory_format=torch.channels_last), images) - expected
        error = off.norm() / expected.norm()
        spread = off.norm() / (expected - expected.mean(0)).norm()
        print(f"| {title} | {name} | {error:.4f} | {spread:.3f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(cores())
    print("| weights | bf16 | error | of the spread |\n|---|---|---|---|")
    for seed in range(given.seeds):
        torch.manual_seed(seed)
        backbone = build_backbone(given.network)
        backbone.network.eval()
        images = pixels(given.videos, given.frames, backbone)
        show(f"untrained, {seed}", backbone, images)
        estimate_statistics(backbone, images)
        show(f"statistics of the frames, {seed}", backbone, images)


if __name__ == "__main__":
    main()
