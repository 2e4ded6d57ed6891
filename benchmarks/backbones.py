"""Size, operations and speed of backbones: the table of docs/backbones.md.

    python benchmarks/backbones.py                     one or two of each family
    python benchmarks/backbones.py resnet50 timm/vit_small_patch14_dinov2.lvd142m r3d_18@16

Random weights. Operations are those of a sample: an image, or a clip; a multiply-add counts as two.
Speed is that of the forward pass alone, fp32 and bf16, as the features stage lays the network out;
no bf16 where the processor has no arithmetic for it.
"""

import argparse

import torch

from features import rate
from pipeline.features.devices import advice
from pipeline.features.encode import CPU_BATCH
from pipeline.features.encode_clips import clips_per_batch
from pipeline.features.precision import in_bf16, in_fp32
from pipeline.networks.backbones import build_backbone
from pipeline.networks.backbones.memory_format import images_channels_last, to_channels_last
from pipeline.networks.cost import image_cost
from pipeline.runtime import cores

NAMES = (
    *("resnet18", "resnet50", "resnext50_32x4d", "densenet121", "regnet_y_8gf", "efficientnet_b0"),
    *("efficientnet_b5", "efficientnet_v2_s", "mobilenet_v3_large", "shufflenet_v2_x1_0"),
    *("mnasnet1_0", "convnext_tiny", "swin_t", "vit_b_16", "timm/vit_small_patch16_dinov3"),
    *("timm/vit_small_patch14_dinov2", "timm/convnextv2_tiny", "timm/caformer_s18"),
    *("resnet50+densenet121", "r3d_18@16", "r2plus1d_18@16", "s3d@16", "mvit_v2_s@16"),
    *("swin3d_t@16", "x3d_m@16", "slowfast_r50@32", "videomae_base@16", "vivit_b@32"),
    *("timesformer_base@8",),
)


def measured(name: str, device: torch.device, runs: int) -> str:
    """A row of the table."""
    with torch.device("meta"):
        backbone = build_backbone(name)
        side = backbone.transform.crop_px
        cost = image_cost(backbone.network.eval(), side, backbone.clip_frames)
    image = (3, side, side)
    if backbone.clip_frames is None:
        shape: tuple[int, ...] = (CPU_BATCH, *image)
    else:
        shape = (clips_per_batch(backbone.clip_frames, None), backbone.clip_frames, *image)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    speeds = []
    for precision, in_bits in (("fp32", in_fp32), ("bf16", in_bf16)):
        if advice(device, precision) is not None:
            speeds.append("-")
            continue
        built = build_backbone(name)
        network = to_channels_last(in_bits(built, built.transform), device)
        speeds.append(f"{rate(network, images_channels_last(images), runs):.1f}")
    return (
        f"| {name} | {backbone.dim} | {side} | {cost.parameters / 1e6:.1f} "
        f"| {cost.flops_per_frame / 1e9:.1f} | {' | '.join(speeds)} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(cores())
    print(f"{cores()} cores, samples/s, median of {given.runs}\n")
    print("| name | features | image, px | parameters, M | GFLOP a sample | fp32 | bf16 |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in given.names:
        print(measured(name, torch.device(given.device), given.runs), flush=True)


if __name__ == "__main__":
    main()
