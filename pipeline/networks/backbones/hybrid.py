"""Several networks that see the same image, fused into one.

`resnet50+densenet121` names two whose vectors stand side by side, `resnet50+densenet121:gate` two
that a gate fuses (fusion.py). Any number from two on, of any families that read images.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from pipeline.networks.backbones.contract import Backbone
from pipeline.networks.backbones.fusion import FUSIONS, CrossAttention, VectorFusion
from pipeline.networks.backbones.transform import Transform

Build = Callable[[str], Backbone]


def is_hybrid(name: str) -> bool:
    """Whether this is the name of several networks."""
    return "+" in name


def parts_of(name: str) -> tuple[list[str], str]:
    """The names of the networks, and how they are fused.

    >>> parts_of("resnet50+densenet121:gate")
    (['resnet50', 'densenet121'], 'gate')
    >>> parts_of("resnet50+densenet121")
    (['resnet50', 'densenet121'], 'concat')
    """
    names, _, fusion = name.rpartition(":")
    if fusion in FUSIONS:
        return names.split("+"), fusion
    return name.split("+"), "concat"  # a colon of another meaning belongs to the last network


def build(name: str, build_part: Build) -> Backbone:
    """An untrained hybrid, initialised from torch's random state.

    Its transform is that of the first network: resize, crop and normalisation. Each other network
    gets the image with its own mean and scale (Hybrid.scale, Hybrid.shift). Block i holds block i
    of every network, counted from the top, so that the strategies of a training freeze and thaw
    all networks in step; of a network with fewer blocks, the lowest ones of the hybrid hold
    nothing. The weights of the fusion belong to the pool, and train with the highest block.

    Args:
        name: As parts_of takes it.
        build_part: A network of this name.

    Raises:
        ValueError: A network reads clips, or has no map for cross_attention.
    """
    names, kind = parts_of(name)
    parts = [build_part(part) for part in names]
    for part in parts:
        if part.clip_frames is not None:
            raise ValueError(f"{part.name} reads clips, and a hybrid reads single images")
        if kind == "cross_attention" and part.maps is None:
            raise ValueError(f"{part.name} has no map of the image for cross_attention")
    dims = [part.dim for part in parts]
    fusion: VectorFusion | CrossAttention
    if kind == "cross_attention":
        fusion = CrossAttention(dims, [_map_channels(part, build_part) for part in names])
    else:
        fusion = FUSIONS[kind](dims)  # type: ignore[call-arg]
    network = Hybrid(parts, fusion)
    return Backbone(
        name=name,
        network=network,
        dim=fusion.dim,
        transform=parts[0].transform,
        blocks=network.levels,
        pool=network.pool_of_all(),
        classifier_keys=(),
    )


def normalisations(transforms: Sequence[Transform]) -> tuple[torch.Tensor, torch.Tensor]:
    """What turns images that are normalised for the first network into those for each.

    Returns:
        Scale and shift, (P, 3) float32 each: image * scale + shift.

    Raises:
        ValueError: The networks want the channels in different orders.
    """
    first = transforms[0]
    if len({transform.channels for transform in transforms}) > 1:
        raise ValueError("some were trained on RGB images and some on BGR images")
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (first.mean, first.std))
    scales, shifts = [], []
    for transform in transforms:
        own_mean, own_std = (
            torch.tensor(v, dtype=torch.float64) for v in (transform.mean, transform.std)
        )
        scales.append(std / own_std)
        shifts.append((mean - own_mean) / own_std)
    return torch.stack(scales).float(), torch.stack(shifts).float()


class Hybrid(nn.Module):
    """Images (B, 3, H, W), normalised for the first network, to fused features (B, dim).

    The state_dict holds the tensors of network i under `parts.<i>.`, the weights of the fusion
    under `fusion.`, and `scale` and `shift`, (P, 3) each, which normalise the image for each
    network and come with its weights.

    Args:
        parts: The networks.
        fusion: From their vectors to one.
    """

    def __init__(self, parts: Sequence[Backbone], fusion: VectorFusion | CrossAttention) -> None:
        super().__init__()
        self.parts = nn.ModuleList(part.network for part in parts)
        self.fusion = fusion
        self.scale: torch.Tensor
        self.shift: torch.Tensor
        scale, shift = normalisations([part.transform for part in parts])
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)
        # No module: their blocks and pools are parts of the networks above.
        self._backbones = tuple(parts)

    def levels(self) -> list[nn.Module]:
        """The blocks, from the image to the top; the first takes images, the others tuples."""
        blocks = [list(backbone.blocks()) for backbone in self._backbones]
        count = max(len(found) for found in blocks)
        padded = [[nn.Identity()] * (count - len(found)) + found for found in blocks]
        lowest, *others = zip(*padded, strict=True)
        return [
            LowestLevel(lowest, self.scale, self.shift),
            *(Level(level) for level in others),
        ]

    def pool_of_all(self) -> "FusedPool":
        """From what the last block returns to the features."""
        return FusedPool(self._backbones, self.fusion)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (B, dim)."""
        x = images
        for level in self.levels():
            x = level(x)
        features: torch.Tensor = self.pool_of_all()(x)
        return features


class Level(nn.Module):
    """A block of each network, side by side.

    Args:
        blocks: One per network.
    """

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """What each block makes of its network's input."""
        return tuple(block(x) for block, x in zip(self.blocks, inputs, strict=True))


class LowestLevel(Level):
    """The first block of each network, which take the same image.

    Args:
        blocks: One per network.
        scale: (P, 3) as of Hybrid.
        shift: (P, 3) as of Hybrid.
    """

    def __init__(
        self, blocks: Sequence[nn.Module], scale: torch.Tensor, shift: torch.Tensor
    ) -> None:
        super().__init__(blocks)
        self.affine = [
            (factor.view(1, 3, 1, 1), term.view(1, 3, 1, 1))
            for factor, term in zip(scale, shift, strict=True)
        ]

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:  # type: ignore[override]
        """What each first block makes of the images (B, 3, H, W)."""
        return super().forward([images * scale + shift for scale, shift in self.affine])


class FusedPool(nn.Module):
    """The pools of all networks and the fusion.

    Args:
        parts: The networks.
        fusion: From their vectors to one.
    """

    def __init__(self, parts: Sequence[Backbone], fusion: VectorFusion | CrossAttention) -> None:
        super().__init__()
        self.pools = nn.ModuleList(part.pool for part in parts)
        self.fusion = fusion
        self._maps = [part.maps for part in parts]

    def forward(self, lasts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features (B, dim) of what the last block of each network returns."""
        vectors = [pool(last) for pool, last in zip(self.pools, lasts, strict=True)]
        if not isinstance(self.fusion, CrossAttention):
            return self.fusion(vectors)  # type: ignore[no-any-return]
        maps = []
        for map_of, last in zip(self._maps, lasts, strict=True):
            assert map_of is not None  # build has checked it
            maps.append(map_of(last))
        return self.fusion(vectors, maps)  # type: ignore[no-any-return]


@torch.no_grad()
def _map_channels(name: str, build_part: Build) -> int:
    """Channels of the last map, which need not be as many as the features have numbers."""
    with torch.device("meta"):  # no memory, no numbers
        part = build_part(name)
        x = torch.empty(1, 3, part.transform.crop_px, part.transform.crop_px)
        for block in part.blocks():
            x = block(x)
    assert part.maps is not None
    return part.maps(x).shape[1]
