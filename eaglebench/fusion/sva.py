"""Cambrian's spatial vision aggregator, as a connector (arXiv 2406.16860)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eaglebench.fusion.base import Outline, PyramidFusion
from eaglebench.fusion.grid import in_windows, to_grid, whole_multiple
from eaglebench.utils.errors import UserError


class Sva(PyramidFusion):
    """N = G*G tokens: one learned query, repeated over the grid, attends in each layer to the cells of all experts at its place.

    The base's map is on the common grid; the maps of another expert are joined on channels at the finest one's side, or at `window`
    cells for each of the grid's if that is less. The connector before the language model alone: Cambrian's layers inside the language
    model, its newline tokens and its masks of padding are left out.

    Args:
        channels: of queries, keys and values.
        heads: of attention; they divide `channels`.
        depth: layers.
        window: most cells along the side of a window.
    """

    def __init__(
        self,
        experts: Mapping[str, Outline],
        width: int,
        channels: int = 1024,
        heads: int = 16,
        depth: int = 3,
        window: int = 4,
        **common: Any,
    ) -> None:
        super().__init__(experts, width, **common)
        if min(channels, heads, depth, window) < 1 or channels % heads:
            raise UserError("fusion.channels, heads, depth and window must be at least 1, and heads divide channels.")
        self.pyramids = {self.base: [self.base], **self.levels}
        self.windows = {self.base: 1} | {
            name: min(window, whole_multiple(self.sources[sources[0]].grid, self.grid) // self.grid)
            for name, sources in self.levels.items()
        }
        self.towers = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(sum(self.sources[source].channels for source in sources), channels),
                    nn.GELU(),
                    nn.Linear(channels, channels),
                    nn.LayerNorm(channels),
                )
                for name, sources in self.pyramids.items()
            }
        )
        self.query = nn.Parameter(torch.randn(channels) * channels**-0.5)
        self.layers = nn.ModuleList([Layer(channels, heads, self.windows) for _ in range(depth)])
        self.projector = self.new_projector(channels, self.norm)

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        cells = []
        for name, tower in self.towers.items():
            side = self.windows[name] * self.grid
            maps = [to_grid(features[source], side, self.align_corners) for source in self.pyramids[name]]
            told_BHWC = tower(torch.cat(maps, dim=1).permute(0, 2, 3, 1))
            cells.append(in_windows(told_BHWC.permute(0, 3, 1, 2), self.windows[name]))
        context_BC = cells[0].mean(dim=(1, 2))
        queries_BNC = self.query.expand(len(context_BC), self.grid**2, -1)
        for layer in self.layers:
            queries_BNC = layer(queries_BNC, context_BC, cells)
        return self.projector(queries_BNC)


class Layer(nn.Module):
    """One round of the queries over the cells at their places; see `Sva`."""

    def __init__(self, channels: int, heads: int, windows: Mapping[str, int]) -> None:
        super().__init__()
        self.heads = heads
        self.context = plain(channels, channels)
        self.joined = plain(2 * channels, channels)
        self.query = nn.Sequential(nn.LayerNorm(channels), plain(channels, channels))
        self.keys, self.values = (
            nn.ModuleList([nn.Sequential(nn.LayerNorm(channels), plain(channels, channels)) for _ in windows])
            for _ in range(2)
        )
        # Within a window alone: the cell of a map on the grid is known by its projection.
        self.positions = nn.ParameterDict(
            {name: torch.randn(side**2, channels) for name, side in windows.items() if side > 1}
        )
        self.names = list(windows)
        self.output = plain(channels, channels)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels), plain(channels, channels), nn.GELU(), plain(channels, channels)
        )

    def forward(self, queries_BNC: Tensor, context_BC: Tensor, cells_BNMC: Sequence[Tensor]) -> Tensor:
        """[B, N, C] of queries, the base's mean, and each expert's cells by place."""
        context = self.context(context_BC)[:, None].expand_as(queries_BNC)
        told = self.joined(torch.cat([queries_BNC, context], dim=-1))
        placed = [
            cells + self.positions[name] if name in self.positions else cells
            for name, cells in zip(self.names, cells_BNMC, strict=True)
        ]
        keys, values = (
            self.split(torch.cat([layer(one) for layer, one in zip(layers, placed, strict=True)], dim=2))
            for layers in (self.keys, self.values)
        )
        attended = F.scaled_dot_product_attention(self.split(self.query(told)[:, :, None]), keys, values)
        found = self.output(attended.transpose(1, 2).flatten(1).view_as(told))
        return queries_BNC + self.mlp(told + found)

    def split(self, x_BNMC: Tensor) -> Tensor:
        """The heads [B * N, heads, M, C / heads]."""
        return x_BNMC.flatten(0, 1).unflatten(-1, (self.heads, -1)).transpose(1, 2)


def plain(into: int, out: int) -> nn.Linear:
    """A linear layer without a bias."""
    return nn.Linear(into, out, bias=False)
