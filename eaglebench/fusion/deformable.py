"""Deformable attention: Eagle's own baseline, Mini-Gemini with sampled points in the place of windows (arXiv 2010.04159)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eaglebench.fusion.base import Outline, PyramidFusion
from eaglebench.fusion.grid import precise
from eaglebench.utils.errors import UserError


class Deformable(PyramidFusion):
    """N = G*G tokens `projector(X + attention)`, where each token of the base's map X on the common grid samples a few points around
    its place in each of the other experts' maps. An expert alone is only projected.

    Eagle publishes neither heads, points nor levels. Here every map of an expert is a level with a LayerNorm and a linear layer of its
    own; offsets begin on a ring that reaches the edge of the token's cell, whatever the level's side, so that it begins with Mini-Gemini's
    window; points beyond the edge of a map see the edge.

    Args:
        heads: of attention; they divide the base's channels.
        points: sampled for each head and level.
    """

    def __init__(
        self, experts: Mapping[str, Outline], width: int, heads: int = 16, points: int = 4, **common: Any
    ) -> None:
        super().__init__(experts, width, **common)
        channels = self.aligned_channels(self.base)
        if heads < 1 or points < 1 or channels % heads:
            raise UserError(
                f"fusion.heads={heads} and fusion.points={points} must be at least 1, and heads divide the {channels} channels of "
                f"{self.base}."
            )
        levels = [source for sources in self.levels.values() for source in sources]
        self.heads, self.points = heads, points
        self.sampled = sampled
        self.projector = self.new_projector(channels, self.norm)
        if not levels:
            return
        self.query_norm = nn.LayerNorm(channels)
        self.values = nn.ModuleDict(
            {
                source: nn.Sequential(nn.LayerNorm(shape.channels), xavier(nn.Linear(shape.channels, channels)))
                for source, shape in self.sources.items()
                if source in levels
            }
        )
        self.offsets = nn.Linear(channels, heads * len(levels) * points * 2)
        self.weights = nn.Linear(channels, heads * len(levels) * points)
        self.output = xavier(nn.Linear(channels, channels))
        cells = torch.tensor([self.sources[source].grid / self.grid for source in levels])
        nn.init.zeros_(self.offsets.weight)
        with torch.no_grad():
            self.offsets.bias.copy_((ring(heads, points)[:, None] * cells[:, None, None] / 2).flatten())
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        tokens_BNC = self.aligned(features, self.base)
        if self.levels:
            tokens_BNC = tokens_BNC + self.attended(tokens_BNC, features)
        return self.projector(tokens_BNC)

    def attended(self, tokens_BNC: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """What the tokens find in the maps, [B, N, C]."""
        queries = self.query_norm(tokens_BNC)
        values = []
        for source, layer in self.values.items():
            projected = layer(features[source].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            values.append(projected.unflatten(1, (self.heads, -1)))
        shape = (self.heads, len(values), self.points)
        sides = torch.tensor([value.shape[-1] for value in values], device=queries.device)
        offsets = precise(self.offsets(queries)).unflatten(-1, (*shape, 2)) / sides[:, None, None]
        centres_N2 = (
            torch.cartesian_prod(*[torch.arange(self.grid, device=queries.device) + 0.5] * 2) / self.grid
        ).flip(-1)
        weights = self.weights(queries).unflatten(-1, (self.heads, -1)).softmax(-1).unflatten(-1, shape[1:])
        return self.output(self.sampled(values, centres_N2[:, None, None, None] + offsets, weights))


def xavier(layer: nn.Linear) -> nn.Linear:
    """The layer with Xavier's weights and no bias at first."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def ring(heads: int, points: int) -> Tensor:
    """Offsets (x, y) [heads, points, 2] in (-1, 1): each head's direction, its points at equal steps on the way to the edge of a square.

    Deformable DETR's, scaled."""
    angles = torch.arange(heads) * (2 * math.pi / heads)
    directions = torch.stack([angles.cos(), angles.sin()], dim=-1)
    directions = directions / directions.abs().amax(dim=-1, keepdim=True)
    return directions[:, None] * ((torch.arange(points) + 1) / points)[None, :, None]


def sampled(values: Sequence[Tensor], places_BNHLP2: Tensor, weights_BNHLP: Tensor) -> Tensor:
    """Multi-scale deformable attention: the weighted sum of bilinear samples, [B, N, heads * C].

    Args:
        values: of each level [B, heads, C, H, W].
        places_BNHLP2: (x, y) for each head, level and point; (0, 0) is the outer corner of the first cell and (1, 1) that of the last.
        weights_BNHLP: of the samples.
    """
    total: Tensor | None = None
    for level, value in enumerate(values):
        places = precise(places_BNHLP2[:, :, :, level].transpose(1, 2).flatten(0, 1))  # [B * heads, N, P, 2]
        cells = value.flatten(0, 1).to(places.dtype)
        samples = F.grid_sample(cells, 2 * places - 1, padding_mode="border", align_corners=False).to(value.dtype)
        weighted = (samples * weights_BNHLP[:, :, :, level].transpose(1, 2).flatten(0, 1)[:, None]).sum(dim=-1)
        total = weighted if total is None else total + weighted
    assert total is not None
    batch, queries, heads = weights_BNHLP.shape[:3]
    return total.view(batch, heads, -1, queries).permute(0, 3, 1, 2).flatten(2)
