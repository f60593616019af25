"""Small fusions of any strategy with random weights, and maps for them."""

from typing import Any

import torch
from torch import Tensor, nn

from eaglebench.fusion.base import FeatureInfo, Fusion, MapShape
from eaglebench.fusion.channel_concat import ChannelConcat
from eaglebench.fusion.deformable import Deformable
from eaglebench.fusion.llava_hr import LlavaHr
from eaglebench.fusion.mini_gemini import MiniGemini
from eaglebench.fusion.mova import Mova
from eaglebench.fusion.sequence_append import SequenceAppend
from eaglebench.fusion.sva import Sva

WIDTH, GRID = 16, 4
INFOS = {
    "a": FeatureInfo(8, 4, (MapShape(8, 4),), blocks=4, block_map=MapShape(8, 4)),
    "b": FeatureInfo(5, 8, (MapShape(5, 8),)),
    "c": FeatureInfo(4, 4, (MapShape(3, 16), MapShape(2, 8), MapShape(4, 4))),
    "d": FeatureInfo(12, 4, (MapShape(3, 8),)),  # its map is a finer one, unshuffled
    "e": FeatureInfo(7, 6),
    "f": FeatureInfo(2, 1),
}
ARGUMENTS: dict[type[Fusion], dict[str, Any]] = {
    ChannelConcat: {},
    SequenceAppend: {},
    LlavaHr: {},
    MiniGemini: {},
    Deformable: {"heads": 2, "points": 3},
    Sva: {"channels": 12, "heads": 3, "depth": 2},
    Mova: {"heads": 2, "depth": 2, "top": 6},
}
FUSIONS = tuple(ARGUMENTS)


def build(cls: type[Fusion], names: str | int, **arguments: Any) -> tuple[Fusion, dict[str, Tensor]]:
    """A fusion of the named experts, or of the first `names` ones, and random maps for its `fuse`."""
    names = "abcdef"[:names] if isinstance(names, int) else names
    torch.manual_seed(len(names))
    infos = {name: INFOS[name] for name in names}
    fusion = cls(infos, WIDTH, **{"grid": GRID, **ARGUMENTS[cls], **arguments})
    return fusion, {source: torch.randn(3, *shape, shape.grid) for source, shape in fusion.sources.items()}


def randomise(fusion: Fusion, features: dict[str, Tensor]) -> tuple[Fusion, dict[str, Tensor]]:
    """Cast the fusion and its maps to float64 and make every parameter random: zeros at initialisation hide errors."""
    for parameter in fusion.double().parameters():
        nn.init.normal_(parameter, std=0.3)
    return fusion, {source: value.double() for source, value in features.items()}


def maps_of(names: str) -> dict[str, list[Tensor]]:
    """The maps that a `StandIn` takes in place of pixels: all levels of each named expert, and its own map."""
    infos = {name: INFOS[name] for name in names}
    return {
        name: [torch.randn(3, count, side, side) for count, side in (*one.levels, (one.channels, one.grid))]
        for name, one in infos.items()
    }
