"""A fusion as the subject of a measurement: maps in, visual tokens out, without the experts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from eaglebench.fusion.base import Fusion, Outline
from eaglebench.fusion.deformable import Deformable
from eaglebench.fusion.mini_gemini import MiniGemini
from eaglebench.profiling.bench import reference as naive
from eaglebench.profiling.bench.measure import OURS, Forward, Subject, Ways, as_it_is


class StandIn(nn.Module):
    """An expert that was run already: its pixels are the maps of its pyramid, and its map behind them.

    Args:
        between: the map between its blocks; its own map if None.
    """

    def __init__(self, between: nn.Parameter | None = None) -> None:
        super().__init__()
        self.between = between

    def forward(self, maps: Sequence[Tensor], after: Mapping[int, Callable[[Tensor], Tensor]] | None = None) -> Tensor:
        """The map; changed as between blocks that do nothing, or by what the changed map between the blocks is on average."""
        if not after:
            return maps[-1]
        x_BCHW = maps[-1] if self.between is None else self.between
        for change in after.values():
            x_BCHW = change(x_BCHW)
        return x_BCHW if self.between is None else maps[-1] + x_BCHW.mean(dim=(1, 2, 3), keepdim=True)

    def pyramid(self, maps: Sequence[Tensor]) -> Sequence[Tensor]:
        """The maps of all stages; the map alone, if there are no others."""
        return maps[:-1] or maps


def subject(
    make: Callable[..., Fusion], outlines: Mapping[str, Outline], width: int, batch: int, device: str
) -> Subject:
    """A fusion of these experts, and random maps of them; gradients go to both, as where experts train."""
    torch.manual_seed(0)
    fusion = make(experts=outlines, width=width).to(device)
    maps = {
        name: [
            nn.Parameter(torch.randn(batch, channels, side, side, device=device))
            for channels, side in (*outline.levels, (outline.channels, outline.grid))
        ]
        for name, outline in outlines.items()
    }
    betweens = {
        name: nn.Parameter(torch.randn(batch, *outline.block_map, outline.block_map.grid, device=device))
        for name, outline in outlines.items()
        if outline.block_map is not None
    }
    experts = {name: StandIn(betweens.get(name)) for name in outlines}
    held = nn.ModuleDict({name: nn.ParameterList(one) for name, one in maps.items()})
    # All are given gradients, and have them cleared.
    module = nn.ModuleDict({"fusion": fusion, "experts": nn.ModuleDict(experts), "maps": held})
    return Subject(module, maps, partial(ways, fusion, experts), True, device)


def ways(fusion: Fusion, experts: Mapping[str, nn.Module]) -> Ways:
    """How a fusion's weights can be run: as here, and beside it as it is described or by another library."""
    found = {OURS: as_it_is(partial(fusion, experts))}
    if isinstance(fusion, MiniGemini) and fusion.levels:
        found["keys and values held"] = as_it_is(partial(run_naive, fusion, experts))
    if isinstance(fusion, Deformable) and fusion.levels:
        found["transformers"] = transformers_sampling(fusion, experts)
    return found


def run_naive(fusion: MiniGemini, experts: Mapping[str, nn.Module], maps: Any) -> Tensor:
    """The same with keys and values of everything."""
    return naive.mini_gemini(fusion, fusion.looked_at(experts, maps))


@contextmanager
def transformers_sampling(fusion: Deformable, experts: Mapping[str, nn.Module]) -> Iterator[Forward]:
    """Within it, points are sampled by transformers' class."""
    ours = fusion.sampled
    fusion.sampled = naive.transformers_sampled
    try:
        yield partial(fusion, experts)
    finally:
        fusion.sampled = ours
