"""A fusion as the subject of a measurement: maps in, visual tokens out, without the experts' own work.

Shape letters as in eaglebench/fusion/base.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from eaglebench.fusion.base import FeatureInfo, Fusion
from eaglebench.fusion.deformable import Deformable
from eaglebench.fusion.mini_gemini import MiniGemini
from eaglebench.profiling.bench.measure import OURS, Forward, Implementations, Subject, use_unchanged
from eaglebench.profiling.bench.reference import mini_gemini_with_all_keys, transformers_deformable_attention


class PrecomputedExpert(nn.Module):
    """Stands in for an expert that has run already.

    Its "pixels" are its maps [B, C, H, W]: those of its pyramid first, and its own map last.

    Args:
        block_map: the map between its blocks [B, C, H, W]; its own map if None.
    """

    def __init__(self, block_map: nn.Parameter | None = None) -> None:
        super().__init__()
        self.block_map = block_map

    def forward(
        self, maps: Sequence[Tensor], block_hooks: Mapping[int, Callable[[Tensor], Tensor]] | None = None
    ) -> Tensor:
        """The expert's own map [B, C, H, W].

        The hooks are applied to the map between the blocks, one after the other, as if the blocks between them did
        nothing. Where that map is not the expert's own, the mean of the result is added to the own map, so that
        gradients reach the hooks.
        """
        if not block_hooks:
            return maps[-1]
        x_BCHW = maps[-1] if self.block_map is None else self.block_map
        for hook in block_hooks.values():
            x_BCHW = hook(x_BCHW)
        return x_BCHW if self.block_map is None else maps[-1] + x_BCHW.mean(dim=(1, 2, 3), keepdim=True)

    def forward_levels(self, maps: Sequence[Tensor]) -> Sequence[Tensor]:
        """The maps of the pyramid; the own map, if there are no others."""
        return maps[:-1] or maps


def make_fusion_subject(
    build: Callable[..., Fusion], infos: Mapping[str, FeatureInfo], width: int, batch_size: int, device: str
) -> Subject:
    """The subject of a fusion of these experts, with random maps.

    Gradients go to the weights and to the maps, as where experts train.

    Args:
        build: called with `experts` (the infos) and `width`.
        width: D, the language model's embedding width.
        device: by its name in torch.
    """
    torch.manual_seed(0)
    fusion = build(experts=infos, width=width).to(device)
    maps = {
        name: [
            nn.Parameter(torch.randn(batch_size, channels, side, side, device=device))
            for channels, side in (*info.levels, (info.channels, info.grid))
        ]
        for name, info in infos.items()
    }
    block_maps = {
        name: nn.Parameter(torch.randn(batch_size, *info.block_map, info.block_map.grid, device=device))
        for name, info in infos.items()
        if info.block_map is not None
    }
    experts = {name: PrecomputedExpert(block_maps.get(name)) for name in infos}
    # One module of everything that gets gradients, so that they are cleared together.
    module = nn.ModuleDict(
        {
            "fusion": fusion,
            "experts": nn.ModuleDict(experts),
            "maps": nn.ModuleDict({name: nn.ParameterList(one) for name, one in maps.items()}),
        }
    )
    return Subject(module, maps, partial(fusion_implementations, fusion, experts), True, device)


def fusion_implementations(fusion: Fusion, experts: Mapping[str, nn.Module]) -> Implementations:
    """Implementations of a fusion by name; each takes maps by expert and gives visual tokens [B, N, D]."""
    found = {OURS: use_unchanged(partial(fusion, experts))}
    if isinstance(fusion, MiniGemini) and fusion.levels:
        found["all keys and values at once"] = use_unchanged(partial(run_mini_gemini_with_all_keys, fusion, experts))
    if isinstance(fusion, Deformable) and fusion.levels:
        found["transformers"] = use_transformers_attention(fusion, experts)
    return found


def run_mini_gemini_with_all_keys(fusion: MiniGemini, experts: Mapping[str, nn.Module], maps: Any) -> Tensor:
    """Visual tokens [B, N, D] of Mini-Gemini with the keys and values of all cells in memory at once."""
    return mini_gemini_with_all_keys(fusion, fusion.encode(experts, maps))


@contextmanager
def use_transformers_attention(fusion: Deformable, experts: Mapping[str, nn.Module]) -> Iterator[Forward]:
    """Sample points with transformers' class within the context."""
    ours = fusion.attention
    fusion.attention = transformers_deformable_attention
    try:
        yield partial(fusion, experts)
    finally:
        fusion.attention = ours
