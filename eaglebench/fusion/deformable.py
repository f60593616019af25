"""Deformable attention, a baseline of Eagle's: Mini-Gemini with sampled points instead of windows (arXiv 2010.04159).

Shape letters as in base.py; h heads, L levels, P points.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from eaglebench.fusion.base import FeatureInfo, PyramidFusion
from eaglebench.fusion.grid import upcast
from eaglebench.fusion.place import Place
from eaglebench.utils.errors import UserError


class Deformable(PyramidFusion):
    """N = G*G tokens `projector(X + attention)`, where X is the base's map on the common grid.

    Each token of X samples a few points around its position in every map of the other experts. A single expert is only
    projected.

    Eagle publishes neither heads nor points nor levels. Here every map of an expert is one level with its own LayerNorm
    and linear layer. The offsets start on a ring that reaches the edge of the token's cell at any resolution, so
    training starts from Mini-Gemini's window. Points outside a map sample its edge.

    Args:
        heads: attention heads; must divide the base's channels.
        points: points sampled per head and level.

    Raises:
        UserError: there is no expert, or `heads` does not divide the base's channels.
    """

    def __init__(
        self,
        experts: Mapping[str, FeatureInfo],
        width: int,
        heads: PositiveInt = 16,
        points: PositiveInt = 4,
        stages: Literal["all", "last"] = "all",
        grid: PositiveInt | None = None,
        align_corners: bool = False,
        shrink: Literal["antialias", "unshuffle"] = "antialias",
        norm: bool = False,
        projector_width: PositiveInt | None = None,
        place: Place = "none",
    ) -> None:
        super().__init__(experts, width, stages, grid, align_corners, shrink, norm, projector_width, place)
        channels = self.aligned_channels(self.base)
        if channels % heads:
            raise UserError(f"fusion.heads={heads} must divide the {channels} channels of {self.base}.")
        levels = [source for sources in self.levels.values() for source in sources]
        self.heads, self.points = heads, points
        self.attention = multi_scale_deformable_attention  # task=bench compares other implementations
        self.projector = self.build_projector(channels, self.norm)
        if not levels:
            return
        self.query_norm = nn.LayerNorm(channels)
        self.values = nn.ModuleDict(
            {
                source: nn.Sequential(nn.LayerNorm(shape.channels), init_xavier(nn.Linear(shape.channels, channels)))
                for source, shape in self.sources.items()
                if source in levels
            }
        )
        self.offsets = nn.Linear(channels, heads * len(levels) * points * 2)
        self.weights = nn.Linear(channels, heads * len(levels) * points)
        self.output = init_xavier(nn.Linear(channels, channels))
        cells = torch.tensor([self.sources[source].grid / self.grid for source in levels])
        nn.init.zeros_(self.offsets.weight)
        with torch.no_grad():
            self.offsets.bias.copy_((ring_offsets(heads, points)[:, None] * cells[:, None, None] / 2).flatten())
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        tokens_BNC = self.align_to_grid(features, self.base)
        if self.levels:
            tokens_BNC = tokens_BNC + self.attend(tokens_BNC, features)
        tokens_BND: Tensor = self.projector(tokens_BNC)
        return tokens_BND

    def attend(self, tokens_BNC: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """Attend from the base's tokens to sampled points of the other experts' maps; returns [B, N, C]."""
        queries = self.query_norm(tokens_BNC)
        values = []
        for source, layer in self.values.items():
            projected = layer(features[source].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            values.append(projected.unflatten(1, (self.heads, -1)))
        shape = (self.heads, len(values), self.points)
        sides = torch.tensor([value.shape[-1] for value in values], device=queries.device)
        offsets = torch.unflatten(upcast(self.offsets(queries)), -1, (*shape, 2)) / sides[:, None, None]
        centres_N2 = (
            torch.cartesian_prod(*[torch.arange(self.grid, device=queries.device) + 0.5] * 2) / self.grid
        ).flip(-1)
        weights = self.weights(queries).unflatten(-1, (self.heads, -1)).softmax(-1).unflatten(-1, shape[1:])
        found = self.attention(values, centres_N2[:, None, None, None] + offsets, weights)
        output_BNC: Tensor = self.output(found)
        return output_BNC


def init_xavier(layer: nn.Linear) -> nn.Linear:
    """Initialise a linear layer in place with Xavier-uniform weights and a zero bias, and return it."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def ring_offsets(heads: int, points: int) -> Tensor:
    """Initial sampling offsets (x, y), [heads, points, 2], in units of half a cell of the common grid.

    Each head has one direction; its points lie on it at equal steps, the last one on the edge of the square from -1 to
    1. Deformable DETR's initialisation, scaled to that square.
    """
    angles = torch.arange(heads) * (2 * math.pi / heads)
    directions = torch.stack([angles.cos(), angles.sin()], dim=-1)
    directions = directions / directions.abs().amax(dim=-1, keepdim=True)
    return directions[:, None] * ((torch.arange(points) + 1) / points)[None, :, None]


def multi_scale_deformable_attention(
    values: Sequence[Tensor], locations_BNhLP2: Tensor, weights_BNhLP: Tensor
) -> Tensor:
    """Weighted sum of bilinear samples from several maps, as in Deformable DETR.

    Args:
        values: one map [B, heads, C, H, W] per level.
        locations_BNhLP2: sampling locations (x, y) as fractions of a map: (0, 0) is its outer top-left corner, (1, 1)
            its outer bottom-right corner. Locations outside sample the map's edge.
        weights_BNhLP: attention weights of the samples.

    Returns:
        [B, N, heads * C].
    """
    total: Tensor | None = None
    for level, value in enumerate(values):
        locations = upcast(locations_BNhLP2[:, :, :, level].transpose(1, 2).flatten(0, 1))  # [B * heads, N, P, 2]
        cells = value.flatten(0, 1).to(locations.dtype)
        samples = F.grid_sample(cells, 2 * locations - 1, padding_mode="border", align_corners=False).to(value.dtype)
        weighted = (samples * weights_BNhLP[:, :, :, level].transpose(1, 2).flatten(0, 1)[:, None]).sum(dim=-1)
        total = weighted if total is None else total + weighted
    assert total is not None
    batch, queries, heads = weights_BNhLP.shape[:3]
    return total.view(batch, heads, -1, queries).permute(0, 3, 1, 2).flatten(2)
