"""Cambrian's spatial vision aggregator, as the connector before the language model (arXiv 2406.16860).

Shape letters as in base.py; M cells in a window.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from eaglebench.fusion.base import FeatureInfo, PyramidFusion
from eaglebench.fusion.grid import round_to_multiple, split_windows, to_grid
from eaglebench.fusion.place import Place
from eaglebench.utils.errors import UserError


class Sva(PyramidFusion):
    """One learned query, repeated over the grid, attends to the cells of all experts at its position: N = G*G tokens.

    The base's map is on the common grid. The maps of another expert are concatenated along channels at the finest one's
    resolution, or at `window` cells per grid cell if that is coarser. Left out of Cambrian's design: the aggregators
    inside the language model, newline tokens and padding masks.

    Args:
        channels: channels of queries, keys and values.
        heads: attention heads; must divide `channels`.
        depth: number of layers.
        window: upper limit for the side of a window, in cells.

    Raises:
        UserError: there is no expert, or `heads` does not divide `channels`.
    """

    def __init__(
        self,
        experts: Mapping[str, FeatureInfo],
        width: int,
        channels: PositiveInt = 1024,
        heads: PositiveInt = 16,
        depth: PositiveInt = 3,
        window: PositiveInt = 4,
        stages: Literal["all", "last"] = "all",
        grid: PositiveInt | None = None,
        align_corners: bool = False,
        shrink: Literal["antialias", "unshuffle"] = "antialias",
        norm: bool = False,
        projector_width: PositiveInt | None = None,
        place: Place = "none",
    ) -> None:
        super().__init__(experts, width, stages, grid, align_corners, shrink, norm, projector_width, place)
        if channels % heads:
            raise UserError(f"fusion.heads={heads} must divide fusion.channels={channels}.")
        self.pyramids = {self.base: [self.base], **self.levels}
        self.windows = {self.base: 1} | {
            name: min(window, round_to_multiple(self.sources[sources[0]].grid, self.grid) // self.grid)
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
        self.layers = nn.ModuleList([SvaLayer(channels, heads, self.windows) for _ in range(depth)])
        self.projector = self.build_projector(channels, self.norm)

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        cells = []
        for name, tower in self.towers.items():
            side = self.windows[name] * self.grid
            maps = [to_grid(features[source], side, self.align_corners) for source in self.pyramids[name]]
            projected_BHWC = tower(torch.cat(maps, dim=1).permute(0, 2, 3, 1))
            cells.append(split_windows(projected_BHWC.permute(0, 3, 1, 2), self.windows[name]))
        context_BC = cells[0].mean(dim=(1, 2))
        queries_BNC = self.query.expand(len(context_BC), self.grid**2, -1)
        for layer in self.layers:
            queries_BNC = layer(queries_BNC, context_BC, cells)
        tokens: Tensor = self.projector(queries_BNC)
        return tokens


class SvaLayer(nn.Module):
    """One update of the queries from the cells at their positions; see `Sva`.

    Args:
        channels: C of queries, context and cells.
        heads: attention heads.
        windows: side of each expert's windows in cells, by name.
    """

    def __init__(self, channels: int, heads: int, windows: Mapping[str, int]) -> None:
        super().__init__()
        self.heads = heads
        self.context = nn.Linear(channels, channels, bias=False)
        self.joined = nn.Linear(2 * channels, channels, bias=False)
        self.query = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels, bias=False))
        self.keys, self.values = (
            nn.ModuleList(
                [nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels, bias=False)) for _ in windows]
            )
            for _ in range(2)
        )
        # Only where a window has several cells: a single cell is identified by its expert's projection.
        self.positions = nn.ParameterDict(
            {name: torch.randn(side**2, channels) for name, side in windows.items() if side > 1}
        )
        self.names = list(windows)
        self.output = nn.Linear(channels, channels, bias=False)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, channels, bias=False),
            nn.GELU(),
            nn.Linear(channels, channels, bias=False),
        )

    def forward(self, queries_BNC: Tensor, context_BC: Tensor, cells_BNMC: Sequence[Tensor]) -> Tensor:
        """Update the queries.

        Args:
            queries_BNC: one query per grid cell.
            context_BC: the mean of the base's tokens.
            cells_BNMC: the cells of each expert's windows, in the order of `windows`.

        Returns:
            [B, N, C].
        """
        context = self.context(context_BC)[:, None].expand_as(queries_BNC)
        joined = self.joined(torch.cat([queries_BNC, context], dim=-1))
        placed = [
            cells + self.positions[name] if name in self.positions else cells
            for name, cells in zip(self.names, cells_BNMC, strict=True)
        ]
        keys, values = (
            self.split_heads(torch.cat([layer(one) for layer, one in zip(layers, placed, strict=True)], dim=2))
            for layers in (self.keys, self.values)
        )
        attended = F.scaled_dot_product_attention(self.split_heads(self.query(joined)[:, :, None]), keys, values)
        found = self.output(attended.transpose(1, 2).flatten(1).view_as(joined))
        out_BNC: Tensor = queries_BNC + self.mlp(joined + found)
        return out_BNC

    def split_heads(self, x_BNMC: Tensor) -> Tensor:
        """Split channels into heads: [B * N, heads, M, C / heads]."""
        return torch.unflatten(x_BNMC.flatten(0, 1), -1, (self.heads, -1)).transpose(1, 2)
